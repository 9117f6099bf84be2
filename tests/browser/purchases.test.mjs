// Whole purchases, as a person makes them.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  SMS, begin, clickIfThere, fillIn, heading, invoiceOf, openBrowser, openPage, pay, shoot, startBackend, startDemo, startGate, startProxy, textIfThere,
  until,
} from './support.mjs';

test('the whole purchase on the demo, paid on the play wallet’s page', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, await openBrowser(t), { allowed: [new URL(demo.wallet).origin] });
  await page.goto(`${demo.url}/`);
  await page.getByRole('link', { name: 'Send an SMS' }).click();
  await fillIn(page);
  await until(async () => (await page.locator('#quote').textContent()).includes('100 sat'));
  await invoiceOf(page);
  const opened = page.context().waitForEvent('page');
  await page.getByRole('link', { name: 'Pay with the play wallet' }).click();
  const wallet = await opened;
  await wallet.getByRole('button', { name: 'Pay 100 sat of play money' }).click();
  await wallet.getByText('Paid, with play money').waitFor();
  await heading(page, 'Delivered').waitFor();
  assert.match(await page.locator('#panel').textContent(), /Hello from a browser/);
  const sent = await (await fetch(demo.outbox)).json();
  assert.equal(sent.length, 1);
  assert.deepEqual(sent[0].body, { message: 'Hello from a browser', phone_number: '+1234567890' });
});

test('the page says what a text is to the network while it is typed', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, await openBrowser(t));
  await page.goto(`${demo.url}/services/send-sms`);
  const says = async (message, words) => {
    await fillIn(page, '+1234567890', message);
    await until(async () => (await page.locator('#quote').textContent()).includes(words));
  };
  await says('Hello [1 €]', 'costs 100 sat. 11 characters, sent as one message.');
  await says('Привет! '.repeat(10), 'costs 200 sat. 80 characters (Unicode), sent as 2 joined messages (at most 2).');
  await shoot(page, 'a-text-in-two-parts');
});

test('by keyboard alone', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, await openBrowser(t));
  await page.goto(`${demo.url}/services/send-sms`);
  const keys = page.keyboard;
  const tabTo = async (matches) => {
    for (let n = 0; n < 20; n += 1) {
      await keys.press('Tab');
      if (await page.evaluate(matches)) return;
    }
    throw new Error('not reached by Tab');
  };
  await tabTo(() => document.activeElement.type === 'tel');
  await keys.type('+1234567890');
  await keys.press('Tab');
  await keys.type('By keyboard');
  await tabTo(() => document.activeElement.id === 'order-button');
  await keys.press('Enter');
  await page.locator('.qr img').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2', 'the panel has the focus');
  const invoice = await page.getByLabel('Invoice', { exact: true }).textContent();
  await pay(demo.wallet, invoice);
  await heading(page, 'Delivered').waitFor();
});

test('a reload in the middle, and a payment while the tab is closed', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  await page.reload();
  await page.locator('.qr img').waitFor();
  assert.equal(await page.getByLabel('Invoice', { exact: true }).textContent(), invoice, 'the same invoice');
  await page.goto('about:blank');
  await pay(gate.wallet, invoice);
  assert.equal(backend.asked.length, 0);
  await page.goto(`${gate.url}/services/send-sms`);
  await heading(page, 'Delivered').waitFor();
  await page.reload();
  await page.getByLabel('Phone number').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('an invoice that runs out is replaced, and what was paid at the last moment is not lost', async (t) => {
  const lnd = 'detect_payments = true\ninvoice_expiry = "10s"\nmint_ahead = 0';
  const { backend, gate, page } = await begin(t, { lnd });
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const first = await invoiceOf(page);
  await page.getByText('This invoice has run out').waitFor({ timeout: 20_000 });
  await shoot(page, 'run-out');
  // By the gate's clock it may be payable for a moment more: then the page goes on waiting for it.
  const shown = page.getByLabel('Invoice', { exact: true });
  const second = await until(async () => {
    const renew = page.getByRole('button', { name: 'Get a new invoice' });
    await clickIfThere(renew);
    const invoice = await textIfThere(shown);
    return invoice !== first && invoice;
  });
  await pay(gate.wallet, second);
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('a backend that is down after the payment: tried again, no second payment', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  await backend.down();
  await pay(gate.wallet, invoice);
  await heading(page, 'It did not work yet').waitFor();
  await page.getByText('you won’t pay again').waitFor();
  await shoot(page, 'backend-down');
  await page.reload();
  await heading(page, 'It did not work yet').waitFor();
  await backend.up();
  await until(async () => {
    if (await heading(page, 'Delivered').isVisible()) return true;
    const again = page.getByRole('button', { name: 'Try again' });
    await clickIfThere(again);
    return false;
  });
  assert.equal(backend.asked.length, 1);
});

test('without detection the preimage is asked for, and a wrong one is refused at once', async (t) => {
  const { backend, gate, page } = await begin(t, { lnd: '' });
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  const field = page.getByLabel('Once it is paid: the preimage');
  const send = page.getByRole('button', { name: 'Send', exact: true });
  await field.fill('xyz');
  await send.click();
  await page.getByText('A preimage has 64').waitFor();
  await field.fill('00'.repeat(32));
  await send.click();
  await page.getByText('This is not the preimage of this invoice').waitFor();
  await shoot(page, 'preimage');
  await page.reload();
  await field.fill((await pay(gate.wallet, invoice)).toUpperCase());
  await send.click();
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('by a wallet in the browser', async (t) => {
  const { gate, page } = await begin(t, { lnd: '' });
  await page.exposeFunction('payInvoice', (invoice) => pay(gate.wallet, invoice));
  await page.addInitScript(() => {
    let tries = 0;
    window.webln = {
      enable: async () => {},
      sendPayment: async (invoice) => {
        tries += 1;
        if (tries === 1) throw new Error('User cancelled');
        return { preimage: await window.payInvoice(invoice) };
      },
    };
  });
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  await invoiceOf(page);
  const button = page.getByRole('button', { name: 'Pay with the wallet in this browser' });
  await button.click();
  await page.getByText('The wallet did not pay: User cancelled').waitFor();
  await button.click();
  await heading(page, 'Delivered').waitFor();
});

test('below a path, behind something that takes it off', async (t) => {
  const backend = await startBackend(t);
  let gate;
  const outside = await startProxy(t, '/sms', () => gate.url);
  gate = await startGate(t, { services: SMS, upstream: backend.url, listen: `public_url = "${outside}"` });
  const page = await openPage(t, await openBrowser(t));
  await page.goto(`${outside}/`);
  await page.getByRole('link', { name: 'Send an SMS' }).click();
  assert.equal(page.url(), `${outside}/services/send-sms`);
  await fillIn(page);
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
  await page.getByRole('link', { name: 'My tickets' }).click();
  await page.getByText('Send an SMS: Delivered').waitFor();
  await page.goto(`${outside}/api/l402/send-sms`);
  assert.equal(page.url(), `${outside}/services/send-sms`, 'a browser at the paid path is sent to the page');
  const described = await (await fetch(`${outside}/openapi.json`)).json();
  assert.equal(described.servers[0].url, outside);
});

test('a paid address that is opened in a browser sells there and then', async (t) => {
  const services = `
[[service]]
name = "weather"
title = "The weather"
method = "GET"
path = "/weather"
ticket = "single-use"
price_sat = 5
upstream = "{upstream}/weather"
[service.input]
type = "object"
required = ["city"]
properties = { city = { type = "string", minLength = 1 } }
`;
  const { backend, gate, page } = await begin(t, { services });
  backend.answer = { status: 200, type: 'application/json', body: '{"rain":"soon"}' };
  const response = await page.goto(`${gate.url}/weather?city=Oslo`);
  assert.equal(response.status(), 402);
  assert.match(response.headers()['www-authenticate'], /^L402 /);
  await page.locator('.qr img').waitFor();
  await shoot(page, 'paid-address');
  const offered = await page.getByLabel('Invoice', { exact: true }).textContent();
  await page.reload();
  await page.locator('.qr img').waitFor();
  assert.equal(await page.getByLabel('Invoice', { exact: true }).textContent(), offered, 'the same invoice after a reload');
  await pay(gate.wallet, await page.getByLabel('Invoice', { exact: true }).textContent());
  await heading(page, 'Delivered').waitFor();
  assert.match(await page.locator('#panel').textContent(), /"rain": "soon"/);
  assert.deepEqual(backend.asked.map((asked) => asked.url), ['/weather?city=Oslo']);
  const refused = await page.goto(`${gate.url}/weather`);
  assert.equal(refused.status(), 400);
  await page.getByText('lacks `city`').waitFor();
});

test('a pass is bought once and used twice', async (t) => {
  const services = `
[[service]]
name = "day-pass"
method = "POST"
path = "/ask"
ticket = "pass"
pass_time = "1d"
price_sat = 50
upstream = "{upstream}/ask"
[service.input]
type = "object"
required = ["question"]
properties = { question = { type = "string", minLength = 1 } }
`;
  const { backend, gate, page } = await begin(t, { services: services.replace('"1d"', '"24h"') });
  await page.goto(`${gate.url}/services/day-pass`);
  await page.getByLabel('Question').fill('one');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
  await page.getByRole('button', { name: 'Use the pass again' }).click();
  await page.getByText('You have a pass until').waitFor();
  await page.getByLabel('Question').fill('');
  await page.getByRole('button', { name: 'Send with your pass' }).click();
  await page.locator('#f1-error', { hasText: 'This is needed' }).waitFor();
  await page.getByLabel('Question').fill('two');
  await page.locator('#order-button').click();
  await until(() => backend.asked.length === 2);
  await heading(page, 'Delivered').waitFor();
  assert.deepEqual(backend.asked.map(({ body }) => JSON.parse(body).question), ['one', 'two']);
});

test('a wrong preimage that the page can’t check is refused by the gate, and the ticket is not lost', async (t) => {
  const { backend, gate, page } = await begin(t, { lnd: '' });
  // As on a page that came by plain HTTP from another machine.
  await page.addInitScript(() => Object.defineProperty(window.crypto, 'subtle', { value: undefined }));
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  const field = page.getByLabel('Once it is paid: the preimage');
  const send = page.getByRole('button', { name: 'Send', exact: true });
  await field.fill('00'.repeat(32));
  await send.click();
  await page.locator('#preimage-error', { hasText: 'not the preimage' }).waitFor();
  assert.equal(await page.getByLabel('Invoice', { exact: true }).textContent(), invoice, 'the same invoice');
  await field.fill(await pay(gate.wallet, invoice));
  await send.click();
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('a browser that keeps nothing says so, and still sells', async (t) => {
  const { gate, page } = await begin(t);
  await page.addInitScript(() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; });
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  await page.getByText('This browser keeps nothing.').waitFor();
  await pay(gate.wallet, invoice);
  await heading(page, 'Delivered').waitFor();
});

test('an invoice that ran out on the page and was paid all the same is not bought again', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  // The reader's clock jumps, and the news of the payment doesn't get through.
  await page.route('**/l402/status', (route) => route.abort());
  await page.evaluate(() => { const now = Date.now; Date.now = () => now() + 3_600_000; });
  await page.getByText('This invoice has run out').waitFor();
  await pay(gate.wallet, invoice);
  await page.unroute('**/l402/status');
  const renew = page.getByRole('button', { name: 'Get a new invoice' });
  await until(async () => {
    if (await heading(page, 'Delivered').isVisible()) return true;
    await clickIfThere(renew);
    return false;
  });
  const kept = await page.evaluate(() => Object.keys(localStorage).length);
  assert.equal(kept, 1, 'no second invoice');
  assert.equal(backend.asked.length, 1);
});

test('what something on the way answers is no delivery', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  const answers = [[502, 'text/html', '<h1>Bad Gateway</h1>'], [402, 'application/json', '{"code":"payment-required"}']];
  await page.route('**/api/l402/send-sms', (route) => {
    const [status, contentType, body] = answers[0];
    return route.fulfill({ status, contentType, body });
  });
  await pay(gate.wallet, invoice);
  await heading(page, 'It did not work yet').waitFor();
  answers.shift();
  await page.getByRole('button', { name: 'Try again' }).click();
  await heading(page, 'Your ticket did not get through').waitFor();
  assert.equal(backend.asked.length, 0);
  await page.unroute('**/api/l402/send-sms');
  await page.getByRole('button', { name: 'Try again' }).click();
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('an invoice that was paid while the page was closed for hours is taken up', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  await page.goto('about:blank');
  await pay(gate.wallet, invoice);
  await page.addInitScript(() => { const now = Date.now; Date.now = () => now() + 3 * 3_600_000; });
  await page.goto(`${gate.url}/services/send-sms`);
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 1);
});

test('a pass sends nothing by itself a second time, neither by a reload nor in a second tab', async (t) => {
  const services = `
[[service]]
name = "data"
method = "GET"
path = "/data"
ticket = "pass"
pass_time = "24h"
price_sat = 50
upstream = "{upstream}/data"
`;
  const { backend, gate, page } = await begin(t, { services });
  await page.goto(`${gate.url}/services/data`);
  const invoice = await invoiceOf(page);
  const other = await page.context().newPage();
  await other.goto(`${gate.url}/services/data`);
  await other.locator('.qr img').waitFor();
  // The answer never gets here.
  await page.context().route('**/data', async (route) => {
    if (route.request().resourceType() === 'document') return route.continue();
    await route.fetch();
    return route.abort();
  });
  await pay(gate.wallet, invoice);
  await heading(page, 'It may have been sent').waitFor();
  await heading(other, 'It may have been sent').waitFor();
  await page.reload();
  await heading(page, 'It may have been sent').waitFor();
  assert.equal(backend.asked.length, 1);
  await page.context().unroute('**/data');
  await page.getByRole('button', { name: 'Send it once more' }).click();
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 2);
  // Opened at its own address, the pass is at hand.
  await page.goto(`${gate.url}/data`);
  await page.getByRole('button', { name: 'Use the pass' }).click();
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked.length, 3);
});
