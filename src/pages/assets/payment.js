// The panel where an invoice is paid: QR code, link, text, WebLN, a clock; and where a payment isn't noticed by itself, a field
// for the preimage.

import { picture } from './api.js';
import { clock, copyButton, element, sats, tell } from './elements.js';

/** Shows how a ticket is paid. `paid` is called with a preimage, `renew` when a new invoice is wanted, `leave` to go back. */
export function paymentPanel(panel, ticket, service, { paid, renew, leave }) {
  const qr = element('div', { class: 'qr' });
  const time = element('span', {}, '');
  const webln = element('div', { class: 'stack' });
  const invoice = element('div', { class: 'invoice', tabindex: '0', 'aria-label': 'Invoice', role: 'group' }, ticket.invoice);
  const waiting = service.detects
    ? element('p', { class: 'muted' }, element('span', { class: 'spinner', 'aria-hidden': 'true' }), 'Waiting for the payment. This page notices it by itself.')
    : preimageField(ticket, paid);
  panel.replaceChildren(...[
    element('h2', { tabindex: '-1' }, 'Pay with any Lightning wallet'),
    ticket.isKept === false && element('p', { class: 'notice' }, element('strong', {}, 'This browser keeps nothing. '), 'Leave this page open until your request is delivered, or your ticket is lost.'),
    element('div', { class: 'pay' },
      qr,
      element('div', {},
        element('p', { class: 'amount' }, sats(ticket.priceSats)),
        element('p', { class: 'muted' }, 'Scan the code with your wallet. ', time),
        element('div', { class: 'stack' },
          element('a', { class: 'button primary', href: `lightning:${ticket.invoice}` }, 'Open in a wallet on this device'),
          service.wallet && element('a', { class: 'button', href: walletAddress(service, ticket), target: '_blank', rel: 'noopener' }, service.wallet.title)),
        webln,
        invoice,
        copyButton(ticket.invoice, 'Copy the invoice'))),
    waiting,
    element('div', { class: 'actions' }, element('button', { type: 'button', onclick: leave }, 'Back to the form')),
  ].filter(Boolean));
  picture(ticket.invoice).then((source) => {
    qr.append(source
      ? element('img', { src: source, alt: 'QR code of the invoice', width: '320', height: '320' })
      : element('p', { class: 'no-code' }, 'There is no code just now: copy the invoice.'));
  }).catch(() => {});
  offerWebln(webln, ticket, paid);
  return tick(ticket, time, () => {
    panel.querySelector('.pay')?.replaceWith(over(service, renew));
    if (service.detects) waiting.remove();
    panel.querySelector('h2').textContent = 'This invoice has run out';
    panel.querySelector('h2').focus({ preventScroll: true });
    tell('The invoice has run out.');
  });
}

/** Counts down. Returns what stops it. */
function tick(ticket, place, ended) {
  const show = () => {
    const left = (ticket.paysUntil - Date.now()) / 1000;
    place.textContent = `${clock(left)} left to pay`;
    if (left <= 0) {
      clearInterval(timer);
      ended();
    }
  };
  const timer = setInterval(show, 1000);
  show();
  return () => clearInterval(timer);
}

/** The invoice ran out. */
function over(service, renew) {
  const paid = service.detects
    ? 'If you paid at the last moment, that is noticed here.'
    : 'If you have paid it, don’t get a new one: the preimage below is still good.';
  return element('div', {},
    element('p', {}, 'It is not paid, as far as is known here. ', paid),
    element('div', { class: 'actions' }, element('button', { type: 'button', class: 'primary', onclick: renew }, 'Get a new invoice')));
}

function walletAddress(service, ticket) {
  return service.wallet.url.replaceAll('{invoice}', encodeURIComponent(ticket.invoice));
}

/** By a wallet in the browser (webln.dev), where there is one. */
function offerWebln(place, ticket, paid) {
  const offer = () => {
    if (!window.webln || place.childElementCount > 0) return;
    const error = element('p', { class: 'error', role: 'alert' });
    const button = element('button', { type: 'button' }, 'Pay with the wallet in this browser');
    button.addEventListener('click', async () => {
      button.disabled = true;
      error.textContent = '';
      try {
        await window.webln.enable();
        const { preimage } = await window.webln.sendPayment(ticket.invoice);
        if (preimage) paid(preimage);
      } catch (fault) {
        error.textContent = `The wallet did not pay: ${fault?.message ?? 'it gave no reason'}.`;
      }
      button.disabled = false;
    });
    place.append(button, error);
  };
  offer();
  addEventListener('webln:ready', offer, { once: true });
}

/** Where the gate isn't told of payments, the payer is. */
function preimageField(ticket, paid) {
  const error = element('p', { class: 'error', id: 'preimage-error' });
  const field = element('input', {
    id: 'preimage', type: 'text', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false',
    'aria-describedby': 'preimage-help preimage-error',
  });
  const button = element('button', { type: 'submit', class: 'primary' }, 'Send');
  return element('form', {
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      const text = field.value.trim().toLowerCase();
      const fault = await faultOf(text, ticket.paymentHash);
      error.textContent = fault;
      if (fault) field.setAttribute('aria-invalid', 'true');
      else field.removeAttribute('aria-invalid');
      if (fault) field.focus();
      else paid(text);
    },
  },
  element('label', { for: 'preimage' }, 'Once it is paid: the preimage'),
  element('p', { class: 'help', id: 'preimage-help' },
    'This service does not notice payments by itself. Your wallet shows the preimage (also called payment secret or proof of payment) in the details of the payment: 64 digits and letters from a to f.'),
  field, error, button);
}

/** What is wrong with a preimage; empty if nothing is. */
async function faultOf(text, hash) {
  if (!/^[0-9a-f]{64}$/.test(text)) return 'A preimage has 64 of the characters 0 to 9 and a to f.';
  // Pages that came by plain HTTP can't compute it, and the gate says the same.
  if (!window.crypto?.subtle) return '';
  const bytes = new Uint8Array(text.match(/../g).map((byte) => parseInt(byte, 16)));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return found === hash ? '' : 'This is not the preimage of this invoice. Is it of another payment, or the payment hash?';
}
