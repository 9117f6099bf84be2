// What the page asks the gate: a price, a challenge, how a ticket stands, and the request itself.

import { address } from './store.js';

/** How much of an answer is shown and kept, in characters. */
const ANSWER_MAX = 8000;

/** A stream that says nothing for so long is dead: the gate shows every 15 seconds that it is there. */
const SILENCE_MAX = 40_000;

/** A refusal, in the gate's own words. */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? `The answer was ${status}.`);
    Object.assign(this, { status, body, retryAfter, code: body.code ?? '' });
  }
}

/** What an order costs, without an invoice. */
export async function quote(service, order, signal) {
  const response = await fetch(withQuery(`l402/quote/${service.name}`, order), {
    ...request(order, order.body === null ? 'GET' : 'POST'), signal,
  });
  return json(response);
}

/** A challenge for an order: what is to be paid for it. */
export async function challenge(service, order) {
  const response = await fetch(withQuery(service.path, order), request(order, service.method));
  const body = await readJson(response);
  if (response.status !== 402 || !body.invoice) throw refusal(response, body);
  return { ...body, secondsLeft: left(response, body.expiresAt) };
}

/** Hands a ticket in with its own request: the whole answer, and what is kept of it. */
export async function redeem(ticket) {
  const { order } = ticket;
  const options = request(order, ticket.method);
  options.headers.Authorization = `L402 ${ticket.macaroon}:${ticket.preimage}`;
  const response = await fetch(withQuery(ticket.path, order), options);
  // What is delivered has a status of 2xx. All else is a refusal, whoever on the way wrote it.
  if (!response.ok) throw refusal(response, await readJson(response));
  const whole = await response.blob();
  const isText = whole.type === '' || /^text\/|json|xml/.test(whole.type);
  const text = isText ? await whole.text() : '';
  const isLong = !isText || text.length > ANSWER_MAX;
  return { whole, answer: { status: response.status, text: text.slice(0, ANSWER_MAX), type: whole.type, isLong } };
}

/** How a ticket stands, and the preimage once it is paid. */
export async function status(ticket) {
  const response = await fetch(address('l402/status'), {
    headers: { Authorization: `L402 ${ticket.macaroon}:` }, cache: 'no-store',
  });
  const body = await json(response);
  return { ...body, preimage: response.headers.get('L402-Preimage') ?? undefined };
}

/** Calls `heard` with each state of a ticket, as they come, until `signal`. Asks again where the connection breaks. */
export async function follow(ticket, heard, signal) {
  for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 15_000)) {
    // Given up where it is silent for too long, or where the reader comes back to the page: a phone that was at its wallet may have
    // lost the connection without a word.
    const connection = new AbortController();
    const giveUp = () => connection.abort();
    let silence = setTimeout(giveUp, SILENCE_MAX);
    const alive = () => { clearTimeout(silence); silence = setTimeout(giveUp, SILENCE_MAX); };
    const cameBack = () => { if (!document.hidden) { pause = 250; giveUp(); } };
    signal.addEventListener('abort', giveUp);
    addEventListener('online', cameBack);
    document.addEventListener('visibilitychange', cameBack);
    try {
      const response = await fetch(address('l402/status'), {
        headers: { Authorization: `L402 ${ticket.macaroon}:`, Accept: 'text/event-stream' }, signal: connection.signal,
      });
      if (!response.ok) throw refusal(response, await readJson(response));
      for await (const event of events(response.body, alive)) {
        pause = 1000;
        heard(event);
      }
    } catch (error) {
      if (!signal.aborted && error instanceof Refusal && [400, 403, 404].includes(error.status)) throw error;
    } finally {
      clearTimeout(silence);
      signal.removeEventListener('abort', giveUp);
      removeEventListener('online', cameBack);
      document.removeEventListener('visibilitychange', cameBack);
    }
    if (signal.aborted) return;
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

/** Server-sent events (HTML standard, section 9.2), as far as the gate writes them. */
async function* events(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    text += value;
    const parts = text.split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const data = part.split('\n').find((line) => line.startsWith('data: '));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

/** An invoice as a picture, as an address that an image can have; nothing if there is none. */
export async function picture(invoice) {
  let response = await fetch(address('l402/qr'), { method: 'POST', body: invoice });
  if (response.status === 429) {
    await new Promise((resume) => setTimeout(resume, (Number(response.headers.get('Retry-After')) || 5) * 1000));
    response = await fetch(address('l402/qr'), { method: 'POST', body: invoice });
  }
  if (!response.ok) return undefined;
  return `data:image/svg+xml,${encodeURIComponent(await response.text())}`;
}

function request(order, method) {
  // A login page that something on the way leads to is no answer of the service's.
  const options = { method, headers: {}, cache: 'no-store', redirect: 'error' };
  if (order.body !== null) {
    options.body = order.body;
    options.headers['Content-Type'] = order.contentType;
  }
  return options;
}

function withQuery(path, order) {
  return address(order.query === null ? path : `${path}?${order.query}`);
}

async function json(response) {
  const body = await readJson(response);
  if (!response.ok) throw refusal(response, body);
  return body;
}

async function readJson(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function refusal(response, body) {
  return new Refusal(response.status, body, Number(response.headers.get('Retry-After')) || undefined);
}

/** How long is left until a time of the gate's clock, which may not be ours. */
function left(response, until) {
  const now = Date.parse(response.headers.get('Date') ?? '') || Date.now();
  return Math.max(0, until - now / 1000);
}
