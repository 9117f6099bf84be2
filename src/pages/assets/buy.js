// The page of a service: form, price, payment, delivery. What is bought is kept before anything else is done, so that a closed tab
// or a lost connection loses nothing; when the page comes back it takes up where it was.

import * as api from './api.js';
import { addCopyButtons, sats, tell } from './elements.js';
import { OrderForm } from './order-form.js';
import { paymentPanel } from './payment.js';
import { failurePanel, receiptPanel, sendingPanel } from './receipt.js';
import * as store from './store.js';

/** How long it is waited after a key before the price is asked for. */
const TYPING_PAUSE = 350;

const place = document.getElementById('buy');
const form = document.getElementById('order');
const panel = document.getElementById('panel');
const data = place.dataset;
const service = {
  name: data.service, title: data.title, method: data.method, path: data.path, takes: data.takes,
  contentType: data.contentType, kind: data.kind, detects: data.detects === 'true', contact: data.contact,
  wallet: data.walletUrl && { title: data.walletTitle, url: data.walletUrl },
};
const orderForm = form && new OrderForm(form, service);

/** Ends what goes on for the ticket that is shown. */
let stop = () => {};

addCopyButtons();
if (form) listenToForm();
takeUp();

/** Shows what was left: a challenge in the page, a ticket named in the address, or the last one that isn't done. */
function takeUp() {
  if (data.challenge) {
    const challenge = JSON.parse(data.challenge);
    const order = { body: null, contentType: null, query: data.query || null };
    const summary = [...new URLSearchParams(data.query)];
    return show(begin({ ...challenge, secondsLeft: challenge.expiresAt - Date.now() / 1000 }, order, summary));
  }
  const named = new URLSearchParams(location.hash.slice(1)).get('ticket');
  const mine = store.all().filter((ticket) => ticket.service === service.name);
  const ticket = (named && store.find(named)) || mine.find((one) => !store.isDone(one) && !isStale(one));
  if (ticket) show(ticket);
}

/** Never paid as far as is known, and its invoice ran out a while ago. */
function isStale(ticket) {
  return ticket.state === 'unpaid' && Date.now() > ticket.paysUntil + 3_600_000;
}

function listenToForm() {
  let timer;
  let asking = new AbortController();
  form.addEventListener('input', (event) => {
    event.target.dataset.touched = 'true';
    clearTimeout(timer);
    timer = setTimeout(() => {
      asking.abort();
      asking = new AbortController();
      askPrice(asking.signal);
    }, TYPING_PAUSE);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    clearTimeout(timer);
    asking.abort();
    buy();
  });
}

async function askPrice(signal) {
  const price = document.getElementById('quote');
  try {
    const { price_sat: amount } = await api.quote(service, orderForm.order(), signal);
    orderForm.clear();
    say('');
    price.textContent = `This costs ${sats(amount)}.`;
  } catch (error) {
    if (signal.aborted) return;
    price.textContent = '';
    if (error.body?.errors) orderForm.show(error.body.errors, true);
  }
}

/** Asks for a challenge, keeps it, and shows how it is paid. */
async function buy() {
  const button = document.getElementById('order-button');
  if (button.disabled) return;
  button.disabled = true;
  say('');
  try {
    const order = orderForm.order();
    const pass = usablePass();
    if (pass) return show(usePass(pass, order));
    show(begin(await api.challenge(service, order), order, orderForm.summary()));
  } catch (error) {
    explain(error);
  } finally {
    button.disabled = false;
  }
}

/** Shows why there is no invoice. */
function explain(error) {
  if (error instanceof SyntaxError) return fault('This is not JSON that can be read.', orderForm.fields[0]);
  if (!(error instanceof api.Refusal)) return fault('There is no connection to the service. Nothing was sent or charged: try again.');
  const { first, left } = orderForm.show(error.body.errors ?? []);
  const rest = left.map((one) => (one.field ? `${one.field}: ${one.expected}` : one.expected)).join('; ');
  if (first && !rest) say('Something above needs your attention.');
  else say(rest ? `Expected: ${rest}.` : waitWords(error));
  (first ?? document.getElementById('order-button')).focus();
  tell(error.message);
}

function waitWords(error) {
  return error.retryAfter ? `${error.message} Try again in ${error.retryAfter} seconds.` : error.message;
}

function fault(words, field) {
  say(words);
  tell(words);
  field?.focus();
}

function say(words) {
  document.getElementById('order-error').textContent = words;
}

/** A new ticket, kept before it is shown. */
function begin(challenge, order, summary) {
  const { macaroon, invoice, paymentHash, priceSats, passUntil, passUses } = challenge;
  const ticket = {
    service: service.name, title: service.title, method: service.method, path: service.path, kind: service.kind,
    order, summary, macaroon, invoice, paymentHash, priceSats, passUntil, passUses, state: 'unpaid',
    createdAt: Date.now(), paysUntil: Date.now() + challenge.secondsLeft * 1000,
  };
  if (!store.keep(ticket)) {
    tell('This browser keeps nothing: leave this page open until your request is delivered.');
  }
  return ticket;
}

/** A pass of this service that is paid and good. */
function usablePass() {
  return store.all().find((ticket) => ticket.service === service.name && ticket.kind === 'pass'
    && ticket.preimage && ticket.passUntil * 1000 > Date.now() && ticket.state !== 'over');
}

/** The pass, with another request. */
function usePass(pass, order) {
  const changes = { order, summary: orderForm.summary(), state: 'paid', answer: undefined, deliveredAt: undefined };
  return store.update(pass.paymentHash, changes) ?? { ...pass, ...changes };
}

/** Shows a ticket as it stands, and goes on with it. */
function show(ticket) {
  stop();
  if (form) form.hidden = true;
  panel.hidden = false;
  if (ticket.state === 'delivered') return showReceipt(ticket);
  if (ticket.preimage) return deliver(ticket);
  showPayment(ticket);
}

function showPayment(ticket) {
  const following = new AbortController();
  const stopClock = paymentPanel(panel, ticket, service, {
    paid: (preimage) => paid(ticket, preimage), renew: () => renew(ticket), leave,
  });
  stop = () => { following.abort(); stopClock(); };
  focusPanel();
  tell(`Invoice of ${sats(ticket.priceSats)} is ready to be paid.`);
  if (service.detects) watch(ticket, following.signal);
}

/** Waits for the gate's word that it is paid. */
async function watch(ticket, signal) {
  const heard = async ({ state }) => {
    if (['unpaid', 'expired', 'revoked'].includes(state)) {
      if (state !== 'unpaid') stale(ticket);
      return;
    }
    const { preimage, reference } = await api.status(ticket);
    if (preimage && !signal.aborted) paid({ ...ticket, reference }, preimage);
  };
  try {
    await api.follow(ticket, (event) => { heard(event).catch(() => {}); }, signal);
  } catch (error) {
    // No ticket of this gate's any more.
    if (!signal.aborted) ended(ticket, { code: error.code, status: 402, detail: error.message });
  }
}

/** Its invoice can't be paid any more: the panel's clock says so. */
function stale(ticket) {
  store.update(ticket.paymentHash, { state: 'expired' });
  ticket.paysUntil = Math.min(ticket.paysUntil, Date.now());
}

function paid(ticket, preimage) {
  tell('Paid. Your request is on its way.');
  const changes = { preimage, state: 'paid', reference: ticket.reference };
  deliver(store.update(ticket.paymentHash, changes) ?? { ...ticket, ...changes });
}

/** Hands the ticket in. However often that is done, it is served once. */
async function deliver(ticket) {
  stop();
  sendingPanel(panel);
  focusPanel();
  const hash = ticket.paymentHash;
  try {
    const answer = await api.redeem(ticket);
    const changes = { state: 'delivered', answer, deliveredAt: ticket.deliveredAt ?? Date.now(), failure: undefined };
    showReceipt(store.update(hash, changes) ?? { ...ticket, ...changes });
  } catch (error) {
    ended(ticket, failureOf(error));
  }
}

function failureOf(error) {
  if (!(error instanceof api.Refusal)) {
    return { code: 'no-connection', status: 0, detail: 'The connection broke, and the answer did not get here.' };
  }
  const { status, code, retryAfter, body } = error;
  return { status, code, detail: error.message, says: body.upstreamSays, retryAfter };
}

/** It did not work, for now or for ever. One that is still under way is asked for again by itself. */
function ended(ticket, failure) {
  stop();
  const isOver = failure.status === 402;
  const changes = { state: isOver ? 'over' : 'paid', failure };
  const kept = store.update(ticket.paymentHash, changes) ?? { ...ticket, ...changes };
  failurePanel(panel, kept, failure, service, { again: () => deliver(kept), anew: leave });
  focusPanel();
  tell(failure.detail);
  if (failure.code === 'in-flight') {
    const timer = setTimeout(() => deliver(kept), (failure.retryAfter ?? 2) * 1000);
    stop = () => clearTimeout(timer);
  }
}

function showReceipt(ticket) {
  stop();
  receiptPanel(panel, ticket, { again: leave });
  focusPanel();
  tell('Delivered. The service took your request.');
}

/** A new invoice for the same request. The old ticket stays in the list, in case it was paid after all. */
async function renew(ticket) {
  stop();
  store.update(ticket.paymentHash, { state: 'expired' });
  try {
    show(begin(await api.challenge(service, ticket.order), ticket.order, ticket.summary));
  } catch (error) {
    leave();
    if (form) explain(error);
  }
}

/** Back to the form. */
function leave() {
  stop();
  history.replaceState(null, '', location.pathname + location.search);
  if (!form) return location.assign(store.address(`services/${service.name}`));
  panel.hidden = true;
  panel.replaceChildren();
  form.hidden = false;
  (orderForm.fields.find((field) => field.type !== 'hidden') ?? document.getElementById('order-button'))?.focus();
}

function focusPanel() {
  panel.querySelector('h2')?.focus({ preventScroll: true });
  panel.scrollIntoView({ block: 'nearest' });
}
