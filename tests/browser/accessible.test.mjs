// Each page and state: axe finds nothing serious, nothing is wider than the screen, nothing jumps. With pictures, where SHOTS names
// a folder.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import test from 'node:test';
import {
  SMS, clickIfThere, fillIn, heading, invoiceOf, openBrowser, openPage, pay, shoot, startBackend, startGate,
} from './support.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const SCREENS = [
  ['wide-light', { viewport: { width: 1000, height: 800 }, colorScheme: 'light' }],
  ['wide-dark', { viewport: { width: 1000, height: 800 }, colorScheme: 'dark' }],
  ['phone-light', { viewport: { width: 320, height: 640 }, colorScheme: 'light' }],
  ['phone-dark', { viewport: { width: 320, height: 640 }, colorScheme: 'dark' }],
];

const ODD = `
[[service]]
name = "odd"
title = "Everything that a form can have"
about = "A service whose schema has most of what there is."
method = "POST"
path = "/odd"
ticket = "single-use"
price_msat = 1500
upstream = "{upstream}/odd"
[service.input]
type = "object"
required = ["to", "agreed", "count"]
[service.input.properties]
to = { type = "object", title = "Whom", required = ["name"], properties = { name = { type = "string" }, mail = { type = "string", format = "email", description = "Only where there is one." } } }
agreed = { type = "boolean", title = "I agree" }
count = { type = "integer", minimum = 1, default = 1 }
kind = { enum = ["slow", "fast"] }
list = { type = "array" }
`;

for (const [name, options] of SCREENS) {
  test(`every page and state, ${name}`, async (t) => {
    const backend = await startBackend(t);
    const pages = 'title = "Fjord SMS"\nabout = "Text messages from the north, paid one by one."\ncontact = "mailto:a@example.com"';
    const gate = await startGate(t, { services: SMS + ODD, upstream: backend.url, pages });
    const page = await openPage(t, await openBrowser(t), {
      ...options, bypassCSP: true, reducedMotion: 'reduce', allowed: [gate.wallet],
    });
    const look = (state) => judge(page, `${name}-${state}`);
    await page.goto(`${gate.url}/`);
    await look('index');
    await page.goto(`${gate.url}/services/odd`);
    await page.locator('#order-button').waitFor();
    await look('odd');
    await page.goto(`${gate.url}/nowhere`);
    await look('not-found');
    await page.goto(`${gate.url}/services/send-sms`);
    await page.getByLabel('Message').waitFor();
    await look('form');
    await page.getByText('From a terminal, with curl').click();
    await page.getByText('Answers to expect').click();
    await look('details');
    await page.goto(`${gate.url}/services/send-sms`);
    await fillIn(page, '1', 'x');
    await page.getByRole('button', { name: 'Get the invoice' }).click();
    await page.locator('[aria-invalid=true]').first().waitFor();
    await look('refused');
    await fillIn(page);
    const invoice = await invoiceOf(page);
    await look('invoice');
    backend.answer = { status: 400, type: 'text/plain', body: 'no' };
    await pay(gate.wallet, invoice);
    await heading(page, 'It did not work yet').waitFor();
    await look('failed');
    backend.answer = { status: 200, type: 'application/json', body: '{"status":"accepted","id":"4f2a"}' };
    for (let n = 0; n < 50 && !(await heading(page, 'Delivered').isVisible()); n += 1) {
      const again = page.getByRole('button', { name: 'Try again' });
      await clickIfThere(again);
      await page.waitForTimeout(300);
    }
    await heading(page, 'Delivered').waitFor();
    await look('receipt');
    await page.goto(`${gate.url}/l402/tickets`);
    await page.locator('.card').waitFor();
    await look('tickets');
    await page.goto(`${gate.wallet}/?invoice=${invoice}`);
    await look('wallet');
  });
}

async function judge(page, state) {
  await shoot(page, state);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  const said = found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
  assert.deepEqual(said, [], state);
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= screen, `${state} is ${wide} wide on a screen of ${screen}`);
  const shift = await page.evaluate(() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value; })
      .observe({ type: 'layout-shift', buffered: true });
    setTimeout(() => resolve(sum), 100);
  }));
  assert.ok(shift < 0.1, `${state} jumps by ${shift}`);
}
