// What became of a ticket: a receipt, or what went wrong and what to do.

import { copyButton, download, element, moment, sats, save } from './elements.js';

/** How far a message has come, for people: what its backend has is not on the phone yet. */
const MESSAGES = {
  accepted: ['Accepted', 'The network has your message and sends it to the phone. It was handed over once, and is not sent again.'],
  sent: ['On its way', 'Your message is on its way to the phone. It is not sent again.'],
  delivered: ['Delivered', 'Your message is on the phone.'],
  failed: ['It did not arrive', 'The network says that your message did not get to the phone: the number may be wrong, or out of reach for long. It is not sent again.'],
};

/** Shows that a request was delivered, and says so in short. */
export function receiptPanel(panel, ticket, service, { whole, again, fetchAgain }) {
  const isPass = ticket.kind === 'pass';
  const ofRequest = ['Delivered', `The service took your request. ${isPass ? 'Your pass is good for more.' : 'It was sent once, and is not sent again.'}`];
  const state = ticket.delivery?.state ?? 'accepted';
  const [title, words] = ticket.isMessage ? MESSAGES[state] ?? MESSAGES.accepted : ofRequest;
  const isBad = ticket.isMessage && state === 'failed';
  panel.replaceChildren(...[
    element('h2', { tabindex: '-1', class: isBad ? 'bad' : 'good' }, title),
    element('p', {}, words),
    service.reports && ['accepted', 'sent'].includes(state) && element('p', { class: 'muted' }, 'This page shows it when the phone has it, if the phone says so.'),
    isBad && service.contact && element('p', {}, element('a', { href: service.contact }, 'Ask the operator')),
    receipt(ticket),
    answerOf(ticket),
    saveWhole(ticket, whole, fetchAgain),
    element('div', { class: 'actions' },
      element('button', { type: 'button', class: 'primary', onclick: again }, isPass ? 'Use the pass again' : 'Send another'),
      element('button', { type: 'button', onclick: () => download(`receipt-${ticket.paymentHash.slice(0, 8)}.json`, exported(ticket)) }, 'Save the receipt')),
  ].filter(Boolean));
  return { title, words };
}

/** Shows that a pass is at hand for what is asked. */
export function passPanel(panel, pass, { use }) {
  panel.replaceChildren(
    element('h2', { tabindex: '-1' }, 'You have a pass'),
    element('p', {}, `It is good until ${moment(pass.passUntil * 1000)}: this request costs nothing more.`),
    element('div', { class: 'actions' }, element('button', { type: 'button', class: 'primary', onclick: use }, 'Use the pass')),
  );
}

/** Shows that a request waits for its answer. */
export function sendingPanel(panel) {
  panel.replaceChildren(
    element('h2', { tabindex: '-1' }, 'Paid'),
    element('p', {}, element('span', { class: 'spinner', 'aria-hidden': 'true' }), 'Your request is on its way.'),
  );
}

/** Shows what went wrong. `again` tries the same ticket once more, `anew` buys anew. */
export function failurePanel(panel, ticket, failure, service, { again, anew, change }) {
  const { title, words, isOver, rest } = explained(failure, ticket);
  const { code } = failure;
  panel.replaceChildren(...[
    element('h2', { tabindex: '-1', class: 'bad' }, title),
    element('p', {}, words),
    failure.says && element('p', { class: 'muted' }, `The service said: ${failure.says}`),
    !isOver && element('p', {}, element('strong', {}, 'Your payment is not lost. '), rest ?? (ticket.isKept === false
      ? 'But this browser does not keep the ticket: leave this page open, or save it. Try again, you won’t pay again.'
      : 'The ticket is kept in this browser: try again, you won’t pay again.')),
    receipt(ticket),
    element('div', { class: 'actions' },
      failure.mayChange && element('button', { type: 'button', class: 'primary', onclick: change }, 'Change the request'),
      failure.mayChange && failure.code === 'order-refused' ? null : isOver
        ? element('button', { type: 'button', class: 'primary', onclick: anew }, 'Back to the form')
        : element('button', { type: 'button', class: 'primary', onclick: again }, code === 'maybe-sent' || title === 'It may have been sent' ? 'Send it once more' : 'Try again'),
      !isOver && ticket.isKept === false && element('button', { type: 'button', onclick: () => download(`ticket-${ticket.paymentHash.slice(0, 8)}.json`, exported(ticket)) }, 'Save the ticket'),
      !isOver && !failure.mayChange && ticket.isKept !== false && element('button', { type: 'button', onclick: anew }, 'Back to the form'),
      service.contact && element('a', { class: 'button', href: service.contact }, 'Ask the operator')),
  ].filter(Boolean));
}

/** A refusal of a redemption in words for people. */
function explained({ code, detail, isOver, mayChange }, ticket) {
  if (mayChange && code === 'message-limit') {
    return { title: 'Not now', words: detail, rest: 'Try again then, or change the request, another number for example: it is sent with the same payment.' };
  }
  if (mayChange) {
    return {
      title: 'It can’t be sent there',
      words: 'The service will never take this very request: the number may not exist, or want no messages. Nothing was sent.',
      rest: 'Change the request, another number for example, and send it with the same payment. That can be done once, and may cost no more than you have paid.',
    };
  }
  if (ticket.kind === 'pass' && ['outcome-unknown', 'no-connection', 'maybe-sent'].includes(code)) {
    return {
      title: 'It may have been sent',
      words: 'No answer got here, so nobody can say whether the service took this request.',
      rest: 'Your pass stays good. If you send the request once more, the service may get it twice.',
    };
  }
  if (code === 'outcome-unknown') {
    return { title: 'Nobody knows yet', words: 'The service took your request and gave no answer. So that it is not sent twice, it is not sent again by itself. The operator finds out; look again later.' };
  }
  if (code === 'in-flight') return { title: 'Still on its way', words: detail };
  if (isOver) return { title: 'This ticket buys nothing any more', words: detail, isOver };
  if (['ticket-forged', 'ticket-for-another-service', 'ticket-caveats', 'ticket-unreadable', 'pass-not-taken'].includes(code)) {
    return { title: 'This ticket is not taken here', words: detail, rest: 'Something has changed here since it was bought: ask the operator, and keep the ticket.' };
  }
  if (code === 'payment-required') {
    return { title: 'Your ticket did not get through', words: 'Something between this browser and the service drops it on the way.' };
  }
  if (code === 'no-connection') return { title: 'No connection', words: detail };
  return { title: 'It did not work yet', words: detail };
}

/** What a backend has reported of a message, by name. */
const REPORTED = { sent: 'Sent', delivered: 'On the phone', failed: 'Failed' };

/** What was bought, for what, and by which names to ask about it. */
export function receipt(ticket) {
  const rows = [
    ['Service', ticket.title],
    ...(ticket.summary ?? []),
    ticket.deliveredAt && ['Accepted', moment(ticket.deliveredAt)],
    ticket.delivery && REPORTED[ticket.delivery.state] && [REPORTED[ticket.delivery.state], moment(Date.parse(ticket.delivery.at))],
    ['Price', sats(ticket.priceSats)],
    ['Bought', moment(ticket.createdAt)],
    ticket.passUntil && ['Good until', moment(ticket.passUntil * 1000)],
    ticket.passUses && ['Requests', String(ticket.passUses)],
    ticket.reference && ['Reference', ticket.reference],
    ['Payment hash', ticket.paymentHash],
  ].filter(Boolean);
  return element('dl', {}, ...rows.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
}

function answerOf(ticket) {
  const text = ticket.answer?.text?.trim();
  if (!text) return null;
  const shown = pretty(text);
  return element('div', {}, element('h3', {}, 'The answer'), element('pre', { tabindex: '0' }, shown), ticket.answer.isLong && element('p', { class: 'help' }, 'This is the beginning of it.'), copyButton(shown, 'Copy the answer'));
}

/** What is more than is shown, or no text: the whole, as long as it is at hand; else the gate gives it back for a while. */
function saveWhole(ticket, whole, fetchAgain) {
  if (!ticket.answer?.isLong) return null;
  const words = whole ? 'Save the whole answer' : 'Get the whole answer again';
  const act = whole ? () => save(`answer-${ticket.paymentHash.slice(0, 8)}`, whole) : fetchAgain;
  if (!whole && ticket.kind === 'pass') return null;
  return element('div', { class: 'actions' }, element('button', { type: 'button', onclick: act }, words));
}

function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

/** A ticket as a file: all that is needed to hand it in by other means. */
export function exported(ticket) {
  const time = (milliseconds) => milliseconds && new Date(milliseconds).toISOString();
  const { isKept, ...all } = ticket;
  return { ...all, createdAt: time(ticket.createdAt), deliveredAt: time(ticket.deliveredAt), paysUntil: time(ticket.paysUntil) };
}
