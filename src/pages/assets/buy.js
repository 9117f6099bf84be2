// The page of a service: form, price, payment, delivery. What is bought is kept before anything else is done, so that a closed tab
// or a lost connection loses nothing; when the page comes back it takes up where it was.

import * as api from './api.js';
import { addCopyButtons, moment, sats, tell } from './elements.js';
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
  const mine = store.all().filter((ticket) => ticket.service === service.name);
  const open = mine.filter((one) => !store.isDone(one) && !isStale(one) && one.state !== 'delivered');
  if (data.challenge) {
    const order = { body: null, contentType: null, query: data.query || null };
    // The page was loaded again: what was offered for this very request before may be paid by now.
    const before = open.find((one) => one.path === service.path && one.order.query === order.query);
    const challenge = { ...JSON.parse(data.challenge), secondsLeft: Number(data.secondsLeft) };
    return show(before ?? begin(challenge, order, [...new URLSearchParams(data.query)]));
  }
  const named = new URLSearchParams(location.hash.slice(1)).get('ticket');
  const ticket = (named && store.find(named)) || open[0];
  if (ticket) show(ticket);
  else offerPass();
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
    if (usablePass()) offerPass();
    else price.textContent = `This costs ${sats(amount)}.`;
  } catch (error) {
    if (signal.aborted) return;
    price.textContent = '';
    if (error.body?.errors) orderForm.show(error.body.errors, true);
  }
}

/** Says so where a pass makes the next request free. */
function offerPass() {
  const pass = usablePass();
  const button = document.getElementById('order-button');
  if (!button) return;
  button.textContent = pass ? 'Send with your pass' : 'Get the invoice';
  if (pass) document.getElementById('quote').textContent = `You have a pass until ${moment(pass.passUntil * 1000)}.`;
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
  const isKept = store.keep(ticket);
  return { ...ticket, isKept };
}

/** A pass of this service that is paid and good. */
function usablePass() {
  return store.all().find((ticket) => ticket.service === service.name && ticket.kind === 'pass'
    && ticket.preimage && ticket.passUntil * 1000 > Date.now() && ticket.state !== 'over');
}

/** The pass, with another request. */
function usePass(pass, order) {
  const changes = { order, summary: orderForm.summary(), state: 'paid', answer: undefined, deliveredAt: undefined };
  return store.update(pass, changes);
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
    // The node may be away for a moment just now.
    for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 15_000)) {
      const { preimage, reference } = await api.status(ticket).catch(() => ({}));
      if (signal.aborted) return;
      if (preimage) return paid({ ...ticket, reference }, preimage);
      await new Promise((resume) => setTimeout(resume, pause));
    }
  };
  try {
    await api.follow(ticket, (event) => { heard(event).catch(() => {}); }, signal);
  } catch (error) {
    // No ticket of this gate's any more.
    if (!signal.aborted) ended(ticket, { code: error.code, status: 402, detail: error.message });
  }
}

/** Its invoice can't be paid any more, by the gate's word: the panel's clock says so. */
function stale(ticket) {
  store.update(ticket, { state: 'expired' });
  ticket.paysUntil = Math.min(ticket.paysUntil, Date.now());
}

function paid(ticket, preimage) {
  tell('Paid. Your request is on its way.');
  deliver(store.update(ticket, { preimage, state: 'paid', reference: ticket.reference }));
}

/** Hands the ticket in. However often that is done, it is served once. */
async function deliver(ticket) {
  stop();
  sendingPanel(panel);
  focusPanel();
  let answer;
  try {
    answer = await api.redeem(ticket);
  } catch (error) {
    return refused(ticket, error);
  }
  const deliveredAt = ticket.deliveredAt ?? Date.now();
  showReceipt(store.update(ticket, { state: 'delivered', answer, deliveredAt, failure: undefined }));
}

/** It was not delivered. Whether the ticket still is worth something is the gate's word. */
function refused(ticket, error) {
  if (['wrong-preimage', 'preimage-unreadable'].includes(error.code)) {
    // What was typed, or what a wallet gave, is not the proof: the ticket waits for the right one.
    show(store.update(ticket, { preimage: undefined, state: 'unpaid', failure: undefined }));
    const words = `That is not the preimage of this invoice. ${error.message}`;
    const place = document.getElementById('preimage-error');
    if (place) place.textContent = words;
    return tell(words);
  }
  if (ticket.kind === 'pass' && error.status === 400 && form) {
    store.update(ticket, { state: 'delivered' });
    leave();
    return explain(error);
  }
  ended(ticket, failureOf(error));
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
  const kept = store.update(ticket, changes);
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

/** A new invoice for the same request, unless the old one was paid at the last moment. It stays in the list, in case it was all the same. */
async function renew(ticket) {
  stop();
  try {
    const { preimage, reference } = service.detects ? await api.status(ticket) : {};
    if (preimage) return paid({ ...ticket, reference }, preimage);
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
  offerPass();
  (orderForm.fields.find((field) => field.type !== 'hidden') ?? document.getElementById('order-button'))?.focus();
}

function focusPanel() {
  panel.querySelector('h2')?.focus({ preventScroll: true });
  panel.scrollIntoView({ block: 'nearest' });
}
