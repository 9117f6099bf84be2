// Text messages by a real backend's form: followed to the phone, and one that is refused for good.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { SMS, begin, fillIn, heading, invoiceOf, pay, shoot, until } from './support.mjs';

process.env.TWILIO_TOKEN = 'a-secret-token';

const SERVICES = SMS.replace('upstream = "{upstream}/send"', `upstream = "{upstream}"
sms = { to = "phone_number", text = "message" }
backend = { preset = "twilio", account_sid = "AC1", auth_token = { env = "TWILIO_TOKEN" }, from = "+15005550006" }`);

const ACCEPTED = { status: 201, type: 'application/json', body: '{"sid":"SM1","status":"queued"}' };
const REFUSED = { status: 400, type: 'application/json', body: '{"code":21610,"message":"unsubscribed"}' };

const options = { services: SERVICES, listen: 'public_url = "http://127.0.0.1:{port}"', pages: 'contact = "mailto:ops@example.com"' };

/** What the backend was told last, by its field. */
function told(backend, name) {
  return new URLSearchParams(backend.asked.at(-1).body).get(name);
}

async function report(backend, state) {
  const body = new URLSearchParams({ MessageSid: 'SM1', MessageStatus: state });
  const response = await fetch(told(backend, 'StatusCallback'), { method: 'POST', body });
  assert.equal(response.status, 204);
}

test('a message is followed to the phone', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = ACCEPTED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Accepted').waitFor();
  await page.getByText('This page shows it when the phone has it').waitFor();
  await shoot(page, 'message-accepted');
  await report(backend, 'sent');
  await heading(page, 'On its way').waitFor();
  // It is there when the page comes back, and goes on from there.
  await page.reload();
  await page.goto(`${gate.url}/l402/tickets`);
  await page.getByText('Send an SMS: On its way to the phone').waitFor();
  await page.getByRole('link', { name: 'Show' }).click();
  await heading(page, 'On its way').waitFor();
  await report(backend, 'undelivered');
  await heading(page, 'It did not arrive').waitFor();
  await page.getByRole('link', { name: 'Ask the operator' }).first().waitFor();
  await shoot(page, 'message-failed');
  await report(backend, 'delivered');
  await heading(page, 'Delivered').waitFor();
  await page.getByText('On the phone', { exact: true }).waitFor();
  await shoot(page, 'message-delivered');
  assert.equal(backend.asked.length, 1);
});

test('a request that is refused for good is changed without a second payment', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = REFUSED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'It can’t be sent there').waitFor();
  await page.getByText('Your payment is not lost.').waitFor();
  await shoot(page, 'message-refused');
  // It is still there when the page comes back.
  await page.reload();
  await heading(page, 'It can’t be sent there').waitFor();
  await page.getByRole('button', { name: 'Change the request' }).click();
  // The number is known by now as one that gets nothing: that is said, and costs nothing.
  await page.getByRole('button', { name: 'Send this instead' }).waitFor();
  await page.getByText('Your payment of 100 sat is good for one other request').waitFor();
  assert.equal(await page.getByLabel('Phone number').inputValue(), '+491701234567');
  await page.locator('#order').getByText('until 20').waitFor();
  await shoot(page, 'message-changing');
  backend.answer = ACCEPTED;
  await fillIn(page, '+4912', 'hello again');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await until(async () => (await page.getByLabel('Phone number').getAttribute('aria-invalid')) === 'true');
  await fillIn(page, '+447700900123', 'hello again');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await heading(page, 'Accepted').waitFor();
  assert.equal(told(backend, 'To'), '+447700900123');
  assert.equal(backend.asked.length, 2);
  await page.getByRole('button', { name: 'Send another' }).click();
  await page.getByRole('button', { name: 'Get the invoice' }).waitFor();
});

test('refused twice it is for the operator', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = REFUSED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await page.getByRole('button', { name: 'Change the request' }).click();
  await fillIn(page, '+447700900123', 'hello');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await heading(page, 'This ticket buys nothing any more').waitFor();
  await page.locator('#panel').getByText('ask whoever runs this service for your money').waitFor();
  await page.getByRole('link', { name: 'Ask the operator' }).waitFor();
  await shoot(page, 'message-refused-again');
});

/** What an invoice asks for, in msat: the amount stands behind the network's letters (BOLT 11, "Human-Readable Part"). */
function msatOf(invoice) {
  const [, amount, unit] = invoice.match(/^lnbcrt(\d+)([munp])1/);
  return Number(amount) * { m: 1e8, u: 1e5, n: 100, p: 0.1 }[unit];
}

function oneOf(list) {
  return list[Math.floor(Math.random() * list.length)];
}

test('a price is one from the form to the receipt', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'farebox-prices-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const listed = { '+1': 10, '+44': 12.5, '+49': 20.001, '+4915': 7, '+4917': 333 };
  const rows = Object.entries(listed).map(([prefix, price]) => `${prefix},${price}\n`);
  writeFileSync(join(folder, 'prices.csv'), `prefix,price\n${rows.join('')}`);
  const services = SMS.replace('price_sat = 100', `price = { table = "${join(folder, 'prices.csv')}", per = "segment" }
sms = { to = "phone_number", text = "message", suffix = " via us" }`).replace('maxLength = 120', 'maxLength = 700');
  const { gate, page } = await begin(t, { services });
  for (let n = 0; n < 8; n += 1) {
    const number = oneOf(['+12025550123', '+447700900123', '+4930123456', '+4915112345678', '+491701234567']);
    const [letter, each, alone] = oneOf([['a', 153, 160], ['Ж', 67, 70]]);
    const length = oneOf([1, alone - 7, alone - 6, 2 * each - 7, 2 * each - 6, 3 * each]);
    const prefix = Object.keys(listed).filter((one) => number.startsWith(one)).sort((one, other) => other.length - one.length)[0];
    const segments = length + 7 <= alone ? 1 : Math.ceil((length + 7) / each);
    const msat = Math.max(1000, Math.round(listed[prefix] * 1000) * segments);
    const words = `${Math.ceil(msat / 1000).toLocaleString('en')} sat`;
    const which = `${number}, ${length} times ${letter}`;
    await page.goto(`${gate.url}/services/send-sms`);
    await fillIn(page, number, letter.repeat(length));
    await until(async () => (await page.locator('#quote').textContent()).startsWith(`This costs ${words}.`), `${which}: ${words}`);
    const invoice = await invoiceOf(page);
    assert.equal(msatOf(invoice), msat, which);
    assert.equal(await page.locator('#panel .amount').textContent(), words, which);
    await pay(gate.wallet, invoice);
    await heading(page, 'Delivered').waitFor();
    assert.equal(await page.locator('dt', { hasText: 'Price' }).locator('+ dd').textContent(), words, which);
  }
});
