// Parts that the tests start: the demo, a gate with a config of its own before a play node, a backend that can fail, a browser.

import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FAREBOX = process.env.FAREBOX;
const SHOTS = process.env.SHOTS;

/** Starts Farebox; `find` is looked for in what it says. Ends with the test. */
async function start(t, args, find, options = {}) {
  const child = spawn(FAREBOX, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let said = '';
  return new Promise((resolve, reject) => {
    const hear = (text) => {
      said += text;
      const found = find(said);
      if (found) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`farebox ${args.join(' ')} ended (${code}): ${said}`)));
  });
}

/** The demo, as the README starts it. */
export async function startDemo(t) {
  const any = '127.0.0.1:0';
  return start(t, ['demo', '--gate', any, '--wallet', any, '--outbox', any], (said) => {
    const page = said.match(/In a browser: +(http:\S+\/)/)?.[1];
    const wallet = said.match(/wallet +(http:\S+)/)?.[1];
    const outbox = said.match(/outbox +(http:\S+)/)?.[1];
    return said.includes('Ctrl-C') && { url: page.slice(0, -1), wallet, outbox };
  });
}

/** A gate before a play node. `services`, `pages`, `lnd` and `listen` are TOML; `upstream` stands for the backend's address. */
export async function startGate(t, { services, upstream, pages = '', lnd = 'detect_payments = true', listen = '' }) {
  const folder = mkdtempSync(join(tmpdir(), 'farebox-browser-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const any = '127.0.0.1:0';
  const node = await start(t, ['play', '--dir', join(folder, 'lnd'), '--grpc', any, '--wallet', any], (said) => {
    const grpc = said.match(/gRPC +(\S+)/)?.[1];
    const wallet = said.match(/wallet +(http:\S+?)\/pay/)?.[1];
    return wallet && { grpc, wallet };
  });
  mkdirSync(join(folder, 'static/.well-known'), { recursive: true });
  writeFileSync(join(folder, 'static/.well-known/proof.txt'), 'it is ours\n');
  const port = await freePort();
  const config = `
state_dir = "state"
[listen]
address = "127.0.0.1:${port}"
plain_http = true
${listen.replaceAll('{port}', port)}
[ops]
address = "127.0.0.1:0"
[lnd]
address = "${node.grpc}"
certificate = "lnd/tls.cert"
macaroon = "lnd/data/chain/bitcoin/regtest/admin.macaroon"
network = "regtest"
${lnd}
[pages]
${pages.replaceAll('{wallet}', node.wallet)}
${services.replaceAll('{upstream}', upstream)}
`;
  writeFileSync(join(folder, 'farebox.toml'), config);
  const url = `http://127.0.0.1:${port}`;
  await start(t, ['serve', '--config', join(folder, 'farebox.toml')], (said) => said.includes(`:${port}`), {
    env: { ...process.env, RUST_LOG: 'info' },
  });
  await until(async () => (await fetch(`${url}/llms.txt`)).ok);
  return { url, wallet: node.wallet, folder };
}

/** The service that most tests sell. */
export const SMS = `
[[service]]
name = "send-sms"
title = "Send an SMS"
method = "POST"
path = "/api/l402/send-sms"
ticket = "single-use"
price_sat = 100
upstream = "{upstream}/send"
example = { phone_number = "+1234567890", message = "Hello" }
[service.input]
type = "object"
required = ["phone_number", "message"]
additionalProperties = false
[service.input.properties.phone_number]
type = "string"
format = "e164"
[service.input.properties.message]
type = "string"
minLength = 1
maxLength = 120
`;

/** A backend that remembers what it is asked, and answers as it is told. */
export async function startBackend(t) {
  const backend = { asked: [], answer: { status: 200, body: 'Okay\n', type: 'text/plain' } };
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    backend.asked.push({ method: request.method, url: request.url, body });
    response.writeHead(backend.answer.status, { 'Content-Type': backend.answer.type });
    response.end(backend.answer.body);
  });
  const port = await freePort();
  backend.url = `http://127.0.0.1:${port}`;
  backend.up = () => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  backend.down = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  await backend.up();
  t.after(() => { server.close(); server.closeAllConnections(); });
  return backend;
}

/** A proxy that has the gate below a path, and takes that off. */
export async function startProxy(t, prefix, target) {
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) return response.writeHead(404).end('not below the path');
    const { hostname, port } = new URL(target());
    const options = { hostname, port, path: request.url.slice(prefix.length), method: request.method, headers: request.headers };
    const asked = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    asked.on('error', () => response.destroy());
    request.pipe(asked);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${server.address().port}${prefix}`;
}

async function freePort() {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Pays an invoice with play money; answers the preimage. */
export async function pay(wallet, invoice) {
  const address = wallet.endsWith('/pay') ? wallet : `${wallet}/pay`;
  const response = await fetch(address, { method: 'POST', body: invoice });
  const text = (await response.text()).trim();
  if (!response.ok) throw new Error(text);
  return text;
}

/** Waits for a condition. */
export async function until(condition, words = 'it never came') {
  const end = Date.now() + 30_000;
  for (;;) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error(words);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Clicks on what is there, which may be gone by then. */
export async function clickIfThere(locator) {
  if (await locator.isVisible()) await locator.click({ timeout: 1000 }).catch(() => {});
}

/** The text of what is there, which may be gone by then. */
export async function textIfThere(locator) {
  if (!(await locator.isVisible())) return undefined;
  return locator.textContent({ timeout: 1000 }).catch(() => undefined);
}

/** A browser for the tests of a file. */
export async function openBrowser(t) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  t.after(() => browser.close());
  return browser;
}

/** A page that has a console without a word of ours, and that asks no other host; checked at the end of the test. */
export async function openPage(t, browser, { allowed = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options });
  const faults = [];
  const watch = (page) => {
    page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
    page.on('console', (message) => {
      // Chromium itself notes each refusal.
      if (!message.text().startsWith('Failed to load resource:')) faults.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      const own = new URL(page.url() === 'about:blank' ? request.url() : page.url()).origin;
      if (protocol !== 'data:' && protocol !== 'blob:' && ![own, ...allowed].includes(origin)) faults.push(`asked ${request.url()}`);
    });
  };
  context.on('page', watch);
  t.after(async () => {
    await context.close();
    if (faults.length) throw new Error(faults.join('\n'));
  });
  return context.newPage();
}

/** A backend, a gate before it that sells `services`, and a page: what most tests begin with. */
export async function begin(t, { services = SMS, page: options, ...gate } = {}) {
  const backend = await startBackend(t);
  const started = await startGate(t, { services, upstream: backend.url, ...gate });
  return { backend, gate: started, page: await openPage(t, await openBrowser(t), options) };
}

/** Fills in the form of an SMS. */
export async function fillIn(page, number = '+1234567890', message = 'Hello from a browser') {
  await page.getByLabel('Phone number').fill(number);
  await page.getByLabel('Message').fill(message);
}

/** Asks for the invoice, and reads it. */
export async function invoiceOf(page) {
  await page.getByRole('button', { name: 'Get the invoice' }).click();
  await page.locator('.qr img').waitFor();
  return (await page.getByLabel('Invoice', { exact: true }).textContent()).trim();
}

/** The heading of what is shown in the panel. */
export function heading(page, words) {
  return page.locator('#panel h2', { hasText: words });
}

/** Keeps a picture, where somebody wants to look. */
export async function shoot(page, name) {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}
