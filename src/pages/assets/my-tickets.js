// What was bought in this browser: a list, with ways to go on, to export and to delete.

import { download, element, tell } from './elements.js';
import { exported, receipt } from './receipt.js';
import * as store from './store.js';

const place = document.getElementById('tickets');

/** What a state means to people. */
const STATES = {
  unpaid: 'Not paid yet, as far as is known', paid: 'Paid, not delivered yet', sending: 'On its way', delivered: 'Delivered', expired: 'Invoice ran out', over: 'Buys nothing any more',
};

function show() {
  const tickets = store.all();
  if (tickets.length === 0) {
    place.replaceChildren(element('p', {}, 'There are none in this browser.'));
    return;
  }
  place.replaceChildren(
    element('div', { class: 'actions' },
      element('button', { type: 'button', onclick: () => download('tickets.json', tickets.map(exported)) }, 'Export all'),
      tickets.some(store.isDone) && element('button', { type: 'button', onclick: removeDone }, 'Delete what is done')),
    element('ul', { class: 'services' }, ...tickets.map(card)));
}

function card(ticket) {
  const title = `${ticket.title}: ${meaning(ticket)}`;
  const named = (verb) => ({ 'aria-label': `${verb}: ${ticket.title}, ${ticket.paymentHash.slice(0, 8)}` });
  const next = goOn(ticket) ? 'Go on' : 'Show';
  return element('li', { class: 'card' },
    element('h2', {}, title),
    ticket.failure && ticket.state !== 'delivered' && element('p', { class: 'bad' }, ticket.failure.detail),
    receipt(ticket),
    element('div', { class: 'actions' },
      element('a', { class: 'button', ...named(next), href: store.address(`services/${ticket.service}#ticket=${ticket.paymentHash}`) }, next),
      element('button', { type: 'button', ...named('Export'), onclick: () => download(`ticket-${ticket.paymentHash.slice(0, 8)}.json`, exported(ticket)) }, 'Export'),
      element('button', { type: 'button', ...named('Delete'), onclick: () => removeOne(ticket) }, 'Delete')));
}

function meaning(ticket) {
  if (ticket.state !== 'delivered' || !ticket.isMessage) return STATES[ticket.state] ?? ticket.state;
  return { sent: 'On its way to the phone', delivered: 'Delivered', failed: 'Did not arrive' }[ticket.delivery?.state] ?? 'Accepted by the network';
}

/** Whether something is left to do for a ticket. */
function goOn(ticket) {
  return !store.isDone(ticket);
}

function removeOne(ticket) {
  const words = ticket.preimage
    ? 'This ticket is paid, and still good. Whoever deletes it loses the payment. Delete it?'
    : 'If the invoice of this ticket was paid, or is paid yet, the payment is lost with it. Delete it?';
  if (!store.isDone(ticket) && !confirm(words)) return;
  store.remove(ticket.paymentHash);
  tell('Deleted');
  show();
}

function removeDone() {
  for (const ticket of store.all().filter(store.isDone)) store.remove(ticket.paymentHash);
  tell('Deleted');
  show();
}

store.onChange(show);
show();
