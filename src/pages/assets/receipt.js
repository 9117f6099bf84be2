// What became of a ticket: a receipt, or what went wrong and what to do.

import { copyButton, download, element, moment, sats, save } from './elements.js';

/** Shows that a request was delivered. */
export function receiptPanel(panel, ticket, { whole, again, fetchAgain }) {
  const isPass = ticket.kind === 'pass';
  panel.replaceChildren(...[
    element('h2', { tabindex: '-1', class: 'good' }, 'Delivered'),
    element('p', {}, 'The service took your request.', ' ', isPass ? 'Your pass is good for more.' : 'It was sent once, and is not sent again.'),
    receipt(ticket),
    answerOf(ticket),
    saveWhole(ticket, whole, fetchAgain),
    element('div', { class: 'actions' },
      element('button', { type: 'button', class: 'primary', onclick: again }, isPass ? 'Use the pass again' : 'Send another'),
      element('button', { type: 'button', onclick: () => download(`receipt-${ticket.paymentHash.slice(0, 8)}.json`, exported(ticket)) }, 'Save the receipt')),
  ].filter(Boolean));
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
export function failurePanel(panel, ticket, failure, service, { again, anew }) {
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
      isOver
        ? element('button', { type: 'button', class: 'primary', onclick: anew }, 'Back to the form')
        : element('button', { type: 'button', class: 'primary', onclick: again }, code === 'maybe-sent' || title === 'It may have been sent' ? 'Send it once more' : 'Try again'),
      !isOver && ticket.isKept === false && element('button', { type: 'button', onclick: () => download(`ticket-${ticket.paymentHash.slice(0, 8)}.json`, exported(ticket)) }, 'Save the ticket'),
      !isOver && ticket.isKept !== false && element('button', { type: 'button', onclick: anew }, 'Back to the form'),
      service.contact && element('a', { class: 'button', href: service.contact }, 'Ask the operator')),
  ].filter(Boolean));
}

/** A refusal of a redemption in words for people. */
function explained({ code, detail, isOver }, ticket) {
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

/** What was bought, for what, and by which names to ask about it. */
export function receipt(ticket) {
  const rows = [
    ['Service', ticket.title],
    ...(ticket.summary ?? []),
    ticket.deliveredAt && ['Accepted', moment(ticket.deliveredAt)],
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
