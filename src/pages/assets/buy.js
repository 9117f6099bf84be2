// The page of a service: form, price, payment, delivery. What is bought is kept before anything else is done, so that a closed tab
// or a lost connection loses nothing; when the page comes back it takes up where it was.

import * as api from './api.js';
import { addCopyButtons, element, moment, sats, tell } from './elements.js';
import { OrderForm } from './order-form.js';
import { paymentPanel } from './payment.js';
import { failurePanel, passPanel, receiptPanel, sendingPanel } from './receipt.js';
import * as store from './store.js';

/** Codes by which the gate says that a ticket is worth nothing any more. */
const OVER = ['ticket-used', 'ticket-spent', 'ticket-expired', 'ticket-revoked'];

/** Codes of what can't be settled here and now. */
const LEFT = ['outcome-unknown', 'ticket-forged', 'ticket-for-another-service', 'ticket-caveats', 'ticket-unreadable', 'pass-not-taken'];

/** How long the first of several tabs that hear of a payment keeps the others from acting on it. */
const TABS_PAUSE = 3000;

/** How long it is waited after a key before the price is asked for. */
const TYPING_PAUSE = 350;

const place = document.getElementById('buy');
const form = document.getElementById('order');
const panel = document.getElementById('panel');
const data = place.dataset;
const service = {
  name: data.service, title: data.title, method: data.method, path: data.path, takes: data.takes,
  contentType: data.contentType, kind: data.kind, detects: data.detects === 'true', contact: data.contact,
  isMessage: data.message === 'true', reports: data.reports === 'true',
  wallet: data.walletUrl && { title: data.walletTitle, url: data.walletUrl },
};
const orderForm = form && new OrderForm(form, service);

/** Ends what goes on for the ticket that is shown. */
let stop = () => {};

/** The ticket whose request was refused for good, while the form is there for another one in its place. */
let changing;

/** Passes that this page has begun to use, by their hashes. */
const begun = new Set();

/** The ticket that is shown, while it would be lost with the page. */
let unkept;
addEventListener('beforeunload', (event) => { if (unkept) event.preventDefault(); });

addCopyButtons();
if (form) listenToForm();
takeUp();

/** Shows what was left: a ticket named in the address, one that isn't done, or what the page itself offers. */
async function takeUp() {
  const mine = store.all().filter((ticket) => ticket.service === service.name);
  const named = new URLSearchParams(location.hash.slice(1)).get('ticket');
  if (named && store.find(named)) return show(store.find(named));
  // What is paid goes first. What nobody can settle here now keeps nobody from buying anew.
  const isOpen = (one) => !store.isDone(one) && one.state !== 'delivered' && !isStale(one);
  const open = mine.filter((one) => isOpen(one) && !LEFT.includes(one.failure?.code))
    .sort((one, other) => Boolean(other.preimage) - Boolean(one.preimage));
  if (data.challenge) return takeUpChallenge(open, mine.filter(isStale));
  if (open[0]) return show(open[0]);
  offerPass();
  const left = mine.find((one) => isOpen(one) && LEFT.includes(one.failure?.code));
  if (left) remind(left, 'A request from before is not settled yet. ', 'Look again');
  const stale = mine.filter(isStale);
  if (service.detects) await look(stale.slice(0, 5));
  else if (stale[0]) remind(stale[0], 'There is an invoice from before that was not paid, as far as is known here. ', 'I have paid it');
}

/** The page is a 402: it was opened at the paid address itself. */
async function takeUpChallenge(open, stale) {
  const order = { body: null, contentType: null, query: data.query || null };
  const summary = [...new URLSearchParams(data.query)];
  // The page was loaded again: what was offered for this very request before may be paid by now.
  const isSame = (one) => one.path === service.path && one.order.query === order.query;
  const before = open.find(isSame);
  if (before) return show(before);
  if (service.detects && (await look(stale.filter(isSame).slice(0, 5)))) return;
  const pass = usablePass();
  if (pass) {
    return passPanel(panel, pass, { use: () => show(usePass(pass, order, summary)) });
  }
  show(begin({ ...JSON.parse(data.challenge), secondsLeft: Number(data.secondsLeft) }, order, summary));
}

/** Never paid as far as is known, and its invoice ran out a while ago. */
function isStale(ticket) {
  return ticket.state === 'unpaid' && Date.now() > ticket.paysUntil + 3_600_000;
}

/** Asks what became of tickets that nobody has looked at for long: one may have been paid while the page was closed. */
async function look(tickets) {
  for (const ticket of tickets) {
    const { state, preimage, reference } = await api.status(ticket).catch(() => ({}));
    // Somebody may be at the next purchase by now.
    if (preimage && (panel.hidden || data.challenge)) {
      paid({ ...ticket, reference }, preimage);
      return true;
    }
    if (state === 'expired' || state === 'revoked') store.update(ticket, { state: 'expired' });
  }
  return false;
}

/** Tells of a ticket from before that its holder may want to look at. */
function remind(ticket, words, verb) {
  const notice = element('p', { class: 'notice' }, words);
  const look = () => { notice.remove(); show(ticket); };
  notice.append(element('button', { type: 'button', class: 'small', onclick: look }, verb));
  form?.before(notice);
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
    const quoted = await api.quote(service, orderForm.order(), signal);
    orderForm.clear();
    say('');
    if (usablePass()) offerPass();
    else price.textContent = `This costs ${sats(quoted.price_sat)}${fiat(quoted)}.${measure(quoted)}`;
  } catch (error) {
    if (signal.aborted) return;
    price.textContent = '';
    if (error.body?.errors) orderForm.show(error.body.errors, true);
  }
}

/** What a price was made of, where it is in another currency. */
function fiat({ fiat }) {
  return fiat ? ` (${fiat.amount} ${fiat.currency})` : '';
}

/** What a text message is to the network; empty for anything else. */
function measure({ encoding, characters, segments, max_segments: most }) {
  if (!segments) return '';
  const parts = segments === 1 ? 'one message' : `${segments} joined messages (at most ${most})`;
  return ` ${characters} characters${encoding === 'ucs2' ? ' (Unicode)' : ''}, sent as ${parts}.`;
}

/** Says so where a pass makes the next request free. */
function offerPass() {
  const pass = usablePass();
  const button = document.getElementById('order-button');
  if (!button) return;
  button.textContent = pass ? 'Send with your pass' : changing ? 'Send this instead' : 'Get the invoice';
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
    if (pass) return show(usePass(pass, order, orderForm.summary()));
    if (changing) return show(substitute(order, orderForm.summary()));
    show(begin(await api.challenge(service, order), order, orderForm.summary()));
  } catch (error) {
    button.disabled = false;
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

/** The ticket with another request in the place of the refused one. It is kept before it is sent: once the gate has it, only that one counts. */
function substitute(order, summary) {
  const ticket = store.update(changing, { order, summary, state: 'paid', failure: undefined });
  changing = undefined;
  document.getElementById('changing')?.remove();
  return ticket;
}

/** Back to the form, for another request in the place of one that was refused for good. */
function change(ticket) {
  // The page at the paid address itself has no form.
  if (!form) return location.assign(store.address(`services/${service.name}#ticket=${ticket.paymentHash}`));
  leave(ticket.isKept === false ? undefined : ticket);
  changing = ticket;
  unkept = ticket.isKept === false ? ticket : undefined;
  const words = `Your payment of ${sats(ticket.priceSats)} is good for one other request that costs no more. Nothing more is paid.`;
  form.before(element('p', { class: 'notice', id: 'changing' }, words));
  orderForm.restore(ticket.order);
  offerPass();
}

/** A pass of this service that is paid and good. */
function usablePass() {
  return store.all().find((ticket) => ticket.service === service.name && ticket.kind === 'pass'
    && ticket.preimage && ticket.state !== 'over');
}

/** The pass, with another request. */
function usePass(pass, order, summary) {
  const changes = { order, summary, state: 'paid', answer: undefined, deliveredAt: undefined, failure: undefined };
  return store.update(pass, changes);
}

/** Shows a ticket as it stands, and goes on with it. */
function show(ticket) {
  stop();
  unkept = ticket.isKept === false && ticket.state !== 'delivered' ? ticket : undefined;
  if (form) form.hidden = true;
  panel.hidden = false;
  if (ticket.state === 'delivered') return showReceipt(ticket);
  if (ticket.state === 'over' && ticket.failure) return ended(ticket, ticket.failure);
  // A pass is served as often as it is handed in: that is never done by itself where it was begun before.
  const wasBegun = ticket.kind === 'pass' && (ticket.state === 'sending' || ticket.failure);
  if (wasBegun && ticket.preimage) return ended(ticket, ticket.failure ?? { code: 'maybe-sent', detail: '' });
  if (ticket.preimage) return deliver(ticket);
  showPayment(ticket);
}

function showPayment(ticket, offered = service) {
  stop();
  const following = new AbortController();
  const stopClock = paymentPanel(panel, ticket, offered, {
    paid: (preimage) => paid(ticket, preimage), renew: () => renew(ticket), leave: () => leave(ticket),
  });
  stop = () => { following.abort(); stopClock(); };
  focusPanel();
  tell(`Invoice of ${sats(ticket.priceSats)} is ready to be paid.`);
  if (offered.detects) watch(ticket, following.signal);
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
  } catch {
    // It doesn't tell any more, for now or for ever: the payer can.
    if (!signal.aborted) showPayment(ticket, { ...service, detects: false });
  }
}

/** Its invoice can't be paid any more, by the gate's word: the panel's clock says so. */
function stale(ticket) {
  store.update(ticket, { state: 'expired' });
  ticket.paysUntil = Math.min(ticket.paysUntil, Date.now());
}

function paid(ticket, preimage) {
  if (ticket.kind === 'pass') return paidPass(ticket, preimage);
  show(store.update(ticket, { preimage, state: 'paid', reference: ticket.reference }));
}

/** The same of a pass, which is served as often as it is handed in: of several tabs that hear of the payment one acts on it. */
function paidPass(ticket, preimage) {
  const hash = ticket.paymentHash;
  if (begun.has(hash)) return;
  begun.add(hash);
  const goOn = () => {
    const kept = store.find(hash);
    if (kept?.preimage) return show(kept);
    const changes = { preimage, state: 'sending', reference: ticket.reference };
    panel.hidden = false;
    if (form) form.hidden = true;
    deliver(store.update(ticket, changes));
  };
  // Pages that came by plain HTTP have no locks.
  if (!navigator.locks) return goOn();
  navigator.locks.request(`farebox ${hash}`, { ifAvailable: true }, async (isFirst) => {
    if (!isFirst) return setTimeout(() => show(store.find(hash) ?? ticket), TABS_PAUSE / 2);
    goOn();
    await new Promise((resume) => setTimeout(resume, TABS_PAUSE));
  });
}

/** Hands the ticket in. However often that is done, a single request is served once; a pass is not. */
async function deliver(held) {
  stop();
  const ticket = held.kind === 'pass' ? store.update(held, { state: 'sending', failure: undefined }) : held;
  // Many answers come at once: the panel keeps its height meanwhile, so that what is below it doesn't jump up and down again.
  panel.style.minHeight = `${panel.offsetHeight}px`;
  sendingPanel(panel);
  focusPanel();
  let delivered;
  try {
    delivered = await api.redeem(ticket).finally(() => { panel.style.minHeight = ''; });
  } catch (error) {
    return refused(ticket, error);
  }
  const { whole, answer } = delivered;
  unkept = undefined;
  const deliveredAt = ticket.deliveredAt ?? Date.now();
  showReceipt(store.update(ticket, { state: 'delivered', answer, deliveredAt, failure: undefined, isMessage: service.isMessage || undefined }), whole);
}

/** It was not delivered. Whether the ticket still is worth something is the gate's word. */
function refused(ticket, error) {
  if (['wrong-preimage', 'preimage-unreadable'].includes(error.code)) {
    // What was typed, or what a wallet gave, is not the proof: the ticket waits for the right one.
    const kept = store.find(ticket.paymentHash);
    if (kept?.preimage && kept.preimage !== ticket.preimage) return show(kept);
    show(store.update(ticket, { preimage: undefined, state: 'unpaid', failure: undefined }));
    const words = `That is not the preimage of this invoice. ${error.message}`;
    const place = document.getElementById('preimage-error');
    if (place) place.textContent = words;
    else panel.querySelector('h2').after(element('p', { class: 'error' }, words));
    return tell(words);
  }
  if (ticket.mayChange && error.status === 400 && form) {
    change(ticket);
    return explain(error);
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
  return { status, code, detail: error.message, says: body.upstreamSays, retryAfter, retry: body.retry };
}

/** It did not work, for now or for ever. One that is still under way is asked for again by itself. */
function ended(ticket, failure) {
  stop();
  const isRefused = failure.code === 'order-refused' && ticket.kind !== 'pass';
  const isOver = OVER.includes(failure.code) || (isRefused && failure.retry === 'never');
  // Past these the gate has the other request, and only that one counts.
  const isTaken = isOver || ['upstream-refused', 'upstream-unreachable', 'outcome-unknown', 'retry-later'].includes(failure.code);
  const mayChange = isRefused ? !isOver : Boolean(ticket.mayChange) && !isTaken;
  const canChange = isRefused ? mayChange : mayChange && failure.code === 'message-limit';
  const changes = { state: isOver ? 'over' : 'paid', failure: { ...failure, isOver, mayChange: canChange }, mayChange };
  const kept = store.update(ticket, changes);
  failurePanel(panel, kept, kept.failure, service, {
    again: () => deliver(kept), anew: () => leave(kept), change: () => change(kept),
  });
  focusPanel();
  tell(failure.detail);
  if (failure.code === 'in-flight') {
    const timer = setTimeout(() => deliver(kept), (failure.retryAfter ?? 2) * 1000);
    stop = () => clearTimeout(timer);
  }
}

function showReceipt(ticket, whole) {
  stop();
  const { title, words } = receiptPanel(panel, ticket, service, { whole, again: () => leave(), fetchAgain: () => deliver(ticket) });
  focusPanel();
  tell(`${title}. ${words}`);
  if (service.reports && ticket.delivery?.state !== 'delivered') hear(ticket, whole);
}

/** Follows a message to the phone, as long as its receipt is shown. */
function hear(ticket, whole) {
  const following = new AbortController();
  stop = () => following.abort();
  const heard = ({ delivery }) => {
    const shown = ticket.delivery ?? { state: 'accepted' };
    if (!delivery || delivery.state === shown.state || following.signal.aborted) return;
    showReceipt(store.update(ticket, { delivery }), whole);
  };
  // What isn't told any more changes nothing of the receipt.
  api.follow(ticket, heard, following.signal).catch(() => {});
}

/** A new invoice for the same request, unless the old one was paid at the last moment. It stays in the list, in case it was all the same. */
async function renew(ticket) {
  stop();
  try {
    const { state, preimage, reference } = service.detects ? await api.status(ticket) : { state: 'expired' };
    if (preimage) return paid({ ...ticket, reference }, preimage);
    // By the gate's clock it can be paid yet, or is: no second invoice for it.
    if (!['expired', 'revoked'].includes(state)) return showPayment({ ...ticket, paysUntil: Date.now() + 30_000 });
    show(begin(await api.challenge(service, ticket.order), ticket.order, ticket.summary));
  } catch (error) {
    showPayment(ticket);
    tell(error.message);
  }
}

/** Back to the form. */
function leave(ticket) {
  changing = undefined;
  document.getElementById('changing')?.remove();
  const words = 'This browser doesn’t keep the ticket: if its invoice is paid, the payment is lost. Leave it?';
  if (ticket?.isKept === false && !confirm(words)) return;
  unkept = undefined;
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
