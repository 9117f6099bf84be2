// What a page says in each state, and what it keeps.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import {
  SMS, begin, clickIfThere, fillIn, heading, invoiceOf, openBrowser, pay, startBackend, startGate, until,
} from './support.mjs';

test('the field at fault is named beside it', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '12345', '');
  await page.getByRole('button', { name: 'Get the invoice' }).click();
  const number = page.getByLabel('Phone number');
  await until(async () => (await number.getAttribute('aria-invalid')) === 'true');
  assert.match(await page.locator('#f1-error').textContent(), /E\.164/);
  assert.equal(await page.locator('#f2-error').textContent(), 'This is needed.');
  assert.equal(await number.evaluate((field) => field === document.activeElement), true);
  await fillIn(page, '+1234567890', '😀'.repeat(121));
  assert.equal(await page.locator('#f2-count').textContent(), '1 too many');
  await until(async () => (await page.locator('#f2-error').textContent()) === 'This should be at most 120 characters.');
  assert.equal(await page.locator('#f1-error').textContent(), '');
  assert.equal(backend.asked.length, 0);
});

test('what nobody knows is said, and a refusal of the service too', async (t) => {
  const { backend, gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+1234567890', 'first');
  backend.answer = { status: 422, type: 'text/plain', body: 'no credit <b>here</b>' };
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'It did not work yet').waitFor();
  await page.getByText('The service said: no credit <b>here</b>').waitFor();
  backend.answer = { status: 500, type: 'text/plain', body: 'oops' };
  await until(async () => {
    if (await heading(page, 'Nobody knows yet').isVisible()) return true;
    const again = page.getByRole('button', { name: 'Try again' });
    await clickIfThere(again);
    return false;
  });
  assert.equal(backend.asked.length, 2);
  // It keeps nobody from the next purchase.
  await page.goto(`${gate.url}/services/send-sms`);
  await page.getByText('A request from before is not settled yet.').waitFor();
  await page.getByRole('button', { name: 'Look again' }).click();
  await heading(page, 'Nobody knows yet').waitFor();
  await page.getByRole('button', { name: 'Back to the form' }).click();
  backend.answer = { status: 200, type: 'text/plain', body: 'Okay' };
  await fillIn(page, '+1234567890', 'second');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
});

test('my tickets: listed, gone on with, exported, deleted', async (t) => {
  const { gate, page } = await begin(t);
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  const invoice = await invoiceOf(page);
  await page.getByRole('link', { name: 'My tickets' }).click();
  await page.getByText('Send an SMS: Not paid yet, as far as is known').waitFor();
  await pay(gate.wallet, invoice);
  await page.getByRole('link', { name: 'Go on' }).click();
  await heading(page, 'Delivered').waitFor();
  await page.goto(`${gate.url}/l402/tickets`);
  await page.getByText('Send an SMS: Delivered').waitFor();
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export all' }).click();
  const [exported] = JSON.parse(await readFile(await (await saving).path(), 'utf8'));
  assert.equal(exported.invoice, invoice);
  assert.match(exported.preimage, /^[0-9a-f]{64}$/);
  await page.getByRole('button', { name: /^Delete:/ }).click();
  await page.getByText('There are none in this browser.').waitFor();
  assert.equal((await page.context().cookies()).length, 0);
});

test('without scripts the page can be read, and the commands are there', async (t) => {
  const { gate, page } = await begin(t, { page: { javaScriptEnabled: false } });
  await page.goto(`${gate.url}/services/send-sms`);
  await page.getByText('The form needs JavaScript').waitFor();
  await page.getByText('From a terminal, with curl').click();
  await page.getByText('curl -sS -X POST').first().waitFor();
  assert.equal(await page.locator('#order').isVisible(), false);
});

test('what can’t be a form is written as JSON', async (t) => {
  const services = `${SMS}
[[service]]
name = "many"
method = "POST"
path = "/many"
ticket = "single-use"
price_sat = 7
upstream = "{upstream}/many"
[service.input]
type = "object"
required = ["to"]
properties = { to = { type = "array", minItems = 1, items = { type = "string" } } }
`;
  const { backend, gate, page } = await begin(t, { services });
  await page.goto(`${gate.url}/services/many`);
  await page.getByText('`to` is a list').waitFor();
  const field = page.getByLabel('The request, as JSON');
  await field.fill('{"to": ');
  await page.getByRole('button', { name: 'Get the invoice' }).click();
  await page.locator('#order-error', { hasText: 'This is not JSON' }).waitFor();
  await field.fill('{"to": ["a", "b"]}');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked[0].body, '{"to":["a","b"]}');
});

test('in the operator’s name, colour and picture, under 50 KB', async (t) => {
  const pages = 'title = "Fjord SMS"\nabout = "Messages from the north."\naccent = "#fd0"\ncontact = "mailto:a@example.com"\nterms = "https://example.com/terms"';
  const { gate, page } = await begin(t, { pages });
  let bytes = 0;
  page.on('response', async (response) => { bytes += Number(response.headers()['content-length'] ?? 0); });
  await page.goto(`${gate.url}/`);
  await page.getByRole('heading', { name: 'Fjord SMS' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Terms' }).getAttribute('href'), 'https://example.com/terms');
  await page.getByRole('link', { name: 'Send an SMS' }).click();
  await page.getByLabel('Message').waitFor();
  const colours = await page.locator('#order-button').evaluate((button) => {
    const { backgroundColor, color } = getComputedStyle(button);
    return [backgroundColor, color];
  });
  assert.deepEqual(colours, ['rgb(255, 221, 0)', 'rgb(0, 0, 0)']);
  assert.ok(bytes > 10_000 && bytes < 50_000, `${bytes} bytes`);
});

test('an upstream’s page can’t read what ours keep', async (t) => {
  const backend = await startBackend(t);
  const probe = '<script>try { document.title = "read " + localStorage.length } catch (e) { document.title = "kept out" }</script><p>hello</p>';
  backend.answer = { status: 200, type: 'text/html', body: probe };
  const free = (name, more) => `
[[service]]
name = "${name}"
method = "GET"
path = "/${name}"
ticket = "free"
upstream = "{upstream}/${name}"
${more}
`;
  const services = SMS + free('stranger', '') + free('own', 'trusted_html = true');
  const gate = await startGate(t, { services, upstream: backend.url });
  const context = await (await openBrowser(t)).newContext();
  const page = await context.newPage();
  await page.goto(`${gate.url}/stranger`);
  await page.getByText('hello').waitFor();
  assert.equal(await page.title(), '', 'no script runs there');
  await page.goto(`${gate.url}/own`);
  assert.equal(await page.title(), 'read 0');
});

test('a number that can be read in two ways is not guessed', async (t) => {
  const services = `
[[service]]
name = "count"
method = "POST"
path = "/count"
ticket = "single-use"
price_sat = 5
upstream = "{upstream}/count"
[service.input]
type = "object"
required = ["n"]
properties = { n = { type = "number" } }
`;
  const { backend, gate, page } = await begin(t, { services });
  await page.goto(`${gate.url}/services/count`);
  const field = page.getByLabel('N');
  const fault = page.locator('#f1-error');
  for (const odd of ['1,000', '9007199254740993', '0x10', '1e5']) {
    await field.fill(odd);
    await page.locator('#order-button').click();
    await until(async () => (await fault.textContent()) === 'This should be a number.', odd);
    await field.fill('');
    await until(async () => (await fault.textContent()) !== 'This should be a number.', odd);
  }
  await field.fill('1,5');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
  assert.equal(backend.asked[0].body, '{"n":1.5}');
});

test('what is no text, or long, can be saved, also later', async (t) => {
  const { backend, gate, page } = await begin(t);
  const long = 'x'.repeat(20_000);
  backend.answer = { status: 200, type: 'image/png', body: long };
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page);
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Delivered').waitFor();
  const save = async () => {
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the whole answer' }).click();
    return readFile(await (await saving).path(), 'utf8');
  };
  assert.equal(await save(), long);
  await page.goto(`${gate.url}/l402/tickets`);
  await page.getByRole('link', { name: /^Show/ }).click();
  await page.getByRole('button', { name: 'Get the whole answer again' }).click();
  assert.equal(await save(), long);
  assert.equal(backend.asked.length, 1);
});
