"""Buys one text message over L402: buy.py GATE_URL WALLET_URL PHONE MESSAGE (from llms.txt)."""
import json, sys, time, urllib.error, urllib.request
MAX_SATS, TRIES, AGAIN = 1000, 5, (409, 429, 500, 502, 503, 504)

def call(url, data=None, headers={}):  # -> status, Retry-After, body
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=90)
    except urllib.error.HTTPError as error:  # an answer too: 402, 400, ...
        answer = error
    except OSError as error:  # no answer: as good as a 503
        return 503, 5, json.dumps({"detail": str(error)})
    return answer.status, int(answer.headers.get("Retry-After", 5)), answer.read().decode()

def order(url, data, ticket=None):  # repeats always carry the same ticket
    headers = {"Content-Type": "application/json"} | ({"Authorization": ticket} if ticket else {})
    for left in reversed(range(TRIES)):
        status, wait, text = call(url, data, headers)
        if status not in AGAIN or not left:
            return status, text
        time.sleep(min(wait, 60))

def main(gate, wallet, phone, message):
    listed = json.loads(call(gate.rstrip("/") + "/.well-known/l402-services")[2])["services"]
    service = next(s for s in listed if s["name"] == "send-sms")
    data, note = json.dumps({"phone_number": phone, "message": message}).encode(), ""
    status, text = order(service["url"], data)
    if status == 402:
        bill = json.loads(text)
        if bill["priceMsat"] > MAX_SATS * 1000:
            sys.exit(f"Too dear: {bill['priceSats']} sat")
        paid, _, preimage = call(wallet, bill["invoice"].encode())
        if paid != 200:
            sys.exit(f"The wallet did not pay: {preimage}")
        ticket = f"L402 {bill['macaroon']}:{preimage.strip()}"
        status, text = order(service["url"], data, ticket)
        note = f" (keep the ticket, it can be handed in later: {ticket})"
    if not 200 <= status < 300:
        sys.exit(f"{status}: {json.loads(text).get('detail', text)}{note}")
    print(text)
main(*sys.argv[1:5])
