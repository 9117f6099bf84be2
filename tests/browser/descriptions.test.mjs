// Descriptions before the programs that read them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'node:test';
import { promisify } from 'node:util';
import { SMS, pay, startBackend, startGate } from './support.mjs';

const run = promisify(execFile);
const bin = (name) => resolve('node_modules/.bin', name);

const SERVICES = `${SMS}
[[service]]
name = "weather"
title = "The weather"
about = "Tomorrow's weather in a city."
method = "GET"
path = "/weather"
ticket = "single-use"
price_msat = 2500
upstream = "{upstream}/weather"
[service.input]
type = "object"
required = ["city"]
properties = { city = { "$ref" = "#/$defs/city" } }
"$defs" = { city = { type = "string", minLength = 1, maxLength = 40 } }

[[service]]
name = "note"
title = "A note"
method = "PUT"
path = "/note"
content_type = "text/plain"
ticket = "single-use"
price_sat = 1
upstream = "{upstream}/note"

[[service]]
name = "time"
title = "The time"
method = "GET"
path = "/time"
ticket = "free"
upstream = "{upstream}/time"
`;

/** One whose schema leads to itself: some readers have no end to that. */
const TREE = `
[[service]]
name = "tree"
title = "A tree of names"
method = "POST"
path = "/tree"
ticket = "pass"
pass_time = "24h"
pass_uses = 3
price_sat = 9
upstream = "{upstream}/tree"
[service.input]
type = "object"
required = ["name"]
properties = { name = { type = "string" }, below = { type = "array", items = { "$ref" = "#" } } }
`;

const PAGES = 'title = "Fjord SMS"\ncontact = "mailto:a@example.com"\nterms = "https://example.com/terms"';

async function begin(t, services = SERVICES + TREE) {
  const backend = await startBackend(t);
  const gate = await startGate(t, { services, upstream: backend.url, pages: PAGES });
  const folder = await mkdtemp(join(tmpdir(), 'farebox-described-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const text = await (await fetch(`${gate.url}/openapi.json`)).text();
  await writeFile(join(folder, 'openapi.json'), text);
  return { backend, gate, folder, document: JSON.parse(text) };
}

test('the OpenAPI document passes redocly’s rules', async (t) => {
  const { folder } = await begin(t);
  await writeFile(join(folder, 'redocly.yaml'), `extends: [recommended]
rules:
  # Each is a service of the operator's: what they answer is theirs, and the terms are a link.
  info-license: off
  operation-4xx-response: off
  no-server-example.com: off
`);
  const { stdout, stderr } = await run(bin('redocly'), ['lint', 'openapi.json', '--format=stylish'], {
    cwd: folder, env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  }).catch((error) => { throw new Error(`${error.stdout}\n${error.stderr}`); });
  assert.doesNotMatch(`${stdout}${stderr}`, /You have|  warning  |  error  /);
});

test('a directory’s discovery finds the services and their prices', async (t) => {
  const { gate } = await begin(t, SERVICES);
  const { stdout: said } = await run(bin('discovery'), ['discover', gate.url, '--json']).catch((error) => {
    throw new Error(`${error.stdout}\n${error.stderr}`);
  });
  for (const path of ['/api/l402/send-sms', '/weather', '/note']) assert.ok(said.includes(path), `${path}: ${said}`);
  assert.ok(said.includes('0.00000100'), said);
});

test('a client generated from the document sends a message', async (t) => {
  const { backend, gate, folder } = await begin(t);
  const modules = resolve('node_modules');
  await symlink(modules, join(folder, 'node_modules'));
  await run(bin('openapi-ts'), ['-i', 'openapi.json', '-o', 'client'], { cwd: folder });
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      outDir: 'built', rootDir: 'client', target: 'es2022', module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom', 'dom.iterable'], types: [], skipLibCheck: true,
    },
    include: ['client'],
  }));
  await run(bin('tsc'), ['-p', folder], { cwd: folder }).catch((error) => { throw new Error(error.stdout); });
  // What TypeScript leaves out, Node asks for: the ends of file names.
  await run('sh', ['-c', String.raw`find built -name '*.js' | xargs sed -i -E "s#(from '\.[^']*)'#\1.js'#; s#/client\.js'#/client/index.js'#; s#/core/index\.js'#/core/index.js'#"`], { cwd: folder });
  const { sendSms } = await import(pathToFileURL(join(folder, 'built/sdk.gen.js')));
  const { client } = await import(pathToFileURL(join(folder, 'built/client.gen.js')));
  client.setConfig({ baseUrl: gate.url });
  const order = { body: { phone_number: '+1234567890', message: 'From a generated client' } };
  const asked = await sendSms(order);
  assert.equal(asked.response.status, 402);
  const { macaroon, invoice } = asked.error;
  const preimage = await pay(gate.wallet, invoice);
  const sent = await sendSms({ ...order, headers: { Authorization: `L402 ${macaroon}:${preimage}` } });
  assert.equal(sent.response.status, 200);
  assert.equal(backend.asked.length, 1);
  assert.equal(JSON.parse(backend.asked[0].body).message, 'From a generated client');
});

test('schemathesis finds no fault of ours in what is free and unpaid', async (t) => {
  const { folder, gate, document } = await begin(t);
  // Streams and long polls would wait.
  delete document.paths['/l402/status'];
  await writeFile(join(folder, 'openapi.json'), JSON.stringify(document));
  const { stdout } = await run(process.env.SCHEMATHESIS, [
    'run', 'openapi.json', '--url', gate.url, '--checks', 'not_a_server_error', '--max-examples', '60', '--phases', 'examples,coverage,fuzzing', '--seed', '402', '--no-color',
  ], { cwd: folder, maxBuffer: 1 << 26 }).catch((error) => { throw new Error(`${error.stdout}`.slice(-4000)); });
  assert.match(stdout, /No issues found|passed/);
});

test('the example that was written from llms.txt alone buys', async (t) => {
  const { backend, gate } = await begin(t);
  const script = join(process.env.EXAMPLES, 'buy.py');
  const lines = (await readFile(script, 'utf8')).trimEnd().split('\n');
  assert.ok(lines.length <= 40, `${lines.length} lines`);
  const { stdout } = await run('python3', [script, gate.url, `${gate.wallet}/pay`, '+1234567890', 'From an agent']);
  assert.match(stdout, /Okay/);
  assert.deepEqual(backend.asked.map(({ body }) => JSON.parse(body).message), ['From an agent']);
  await assert.rejects(run('python3', [script, gate.url, `${gate.wallet}/pay`, '12345', 'From an agent']), /E\.164/);
});
