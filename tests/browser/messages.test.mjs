// Text messages by a real backend's form: followed to the phone, and one that is refused for good.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SMS, begin, fillIn, heading, invoiceOf, pay, shoot, until } from './support.mjs';

process.env.TWILIO_TOKEN = 'a-secret-token';

const SERVICES = SMS.replace('upstream = "{upstream}/send"', `upstream = "{upstream}"
sms = { to = "phone_number", text = "message" }
backend = { preset = "twilio", account_sid = "AC1", auth_token = { env = "TWILIO_TOKEN" }, from = "+15005550006" }`);

const ACCEPTED = { status: 201, type: 'application/json', body: '{"sid":"SM1","status":"queued"}' };
const REFUSED = { status: 400, type: 'application/json', body: '{"code":21610,"message":"unsubscribed"}' };

const options = { services: SERVICES, listen: 'public_url = "http://127.0.0.1:{port}"', pages: 'contact = "mailto:ops@example.com"' };

/** What the backend was told last, by its field. */
function told(backend, name) {
  return new URLSearchParams(backend.asked.at(-1).body).get(name);
}

async function report(backend, state) {
  const body = new URLSearchParams({ MessageSid: 'SM1', MessageStatus: state });
  const response = await fetch(told(backend, 'StatusCallback'), { method: 'POST', body });
  assert.equal(response.status, 204);
}

test('a message is followed to the phone', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = ACCEPTED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'Accepted').waitFor();
  await page.getByText('This page shows it when the phone has it').waitFor();
  await shoot(page, 'message-accepted');
  await report(backend, 'sent');
  await heading(page, 'On its way').waitFor();
  // It is there when the page comes back, and goes on from there.
  await page.reload();
  await page.goto(`${gate.url}/l402/tickets`);
  await page.getByText('Send an SMS: On its way to the phone').waitFor();
  await page.getByRole('link', { name: 'Show' }).click();
  await heading(page, 'On its way').waitFor();
  await report(backend, 'undelivered');
  await heading(page, 'It did not arrive').waitFor();
  await page.getByRole('link', { name: 'Ask the operator' }).first().waitFor();
  await shoot(page, 'message-failed');
  await report(backend, 'delivered');
  await heading(page, 'Delivered').waitFor();
  await page.getByText('On the phone', { exact: true }).waitFor();
  await shoot(page, 'message-delivered');
  assert.equal(backend.asked.length, 1);
});

test('a request that is refused for good is changed without a second payment', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = REFUSED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await heading(page, 'It can’t be sent there').waitFor();
  await page.getByText('Your payment is not lost.').waitFor();
  await shoot(page, 'message-refused');
  // It is still there when the page comes back.
  await page.reload();
  await heading(page, 'It can’t be sent there').waitFor();
  await page.getByRole('button', { name: 'Change the request' }).click();
  // The number is known by now as one that gets nothing: that is said, and costs nothing.
  await page.getByRole('button', { name: 'Send this instead' }).waitFor();
  await page.getByText('Your payment of 100 sat is good for one other request').waitFor();
  assert.equal(await page.getByLabel('Phone number').inputValue(), '+491701234567');
  await page.locator('#order').getByText('until 20').waitFor();
  await shoot(page, 'message-changing');
  backend.answer = ACCEPTED;
  await fillIn(page, '+4912', 'hello again');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await until(async () => (await page.getByLabel('Phone number').getAttribute('aria-invalid')) === 'true');
  await fillIn(page, '+447700900123', 'hello again');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await heading(page, 'Accepted').waitFor();
  assert.equal(told(backend, 'To'), '+447700900123');
  assert.equal(backend.asked.length, 2);
  await page.getByRole('button', { name: 'Send another' }).click();
  await page.getByRole('button', { name: 'Get the invoice' }).waitFor();
});

test('refused twice it is for the operator', async (t) => {
  const { backend, gate, page } = await begin(t, options);
  backend.answer = REFUSED;
  await page.goto(`${gate.url}/services/send-sms`);
  await fillIn(page, '+491701234567', 'hello');
  await pay(gate.wallet, await invoiceOf(page));
  await page.getByRole('button', { name: 'Change the request' }).click();
  await fillIn(page, '+447700900123', 'hello');
  await page.getByRole('button', { name: 'Send this instead' }).click();
  await heading(page, 'This ticket buys nothing any more').waitFor();
  await page.locator('#panel').getByText('ask whoever runs this service for your money').waitFor();
  await page.getByRole('link', { name: 'Ask the operator' }).waitFor();
  await shoot(page, 'message-refused-again');
});
