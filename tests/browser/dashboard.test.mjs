// The dashboard, by Grafana's own types (what its schema is made into): every option of every panel is one that Grafana knows.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const PANELS = '@grafana/schema/dist/esm/raw/composable';

// In JSON the value of an enum stands as it is.
const TYPES = `
import type { Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type * as Stat from '${PANELS}/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from '${PANELS}/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as TimeSeries from '${PANELS}/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
type Json<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type PanelOf<Kind, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig'> & {
  type: Kind; options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> } };
};
type Known = RowPanel | PanelOf<'stat', Stat.Options, Record<string, never>> | PanelOf<'table', Table.Options, Table.FieldConfig>
  | PanelOf<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>;
export const dashboard: Json<Omit<Dashboard, 'panels'> & { panels: Known[] }> = `;

/** What the compiler has against a dashboard. */
async function faults(dashboard) {
  // Below this folder, where the types are found.
  const folder = await mkdtemp(join(here, 'dashboard-'));
  try {
    await writeFile(join(folder, 'dashboard.ts'), `${TYPES}${dashboard};\n`);
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--moduleResolution', 'bundler', '--module', 'esnext', '--target', 'es2022'];
    const tsc = join(here, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)('node', [tsc, ...options, join(folder, 'dashboard.ts')]);
    return '';
  } catch (error) {
    return error.stdout || String(error);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the dashboard is one by Grafana’s schema', async () => {
  const dashboard = await readFile(process.env.DASHBOARD, 'utf8');
  assert.equal(await faults(dashboard), '');
  for (const [right, wrong] of [['"calcs"', '"calx"'], ['"displayMode": "list"', '"displayMode": "lisp"'], ['"showPoints"', '"showPoint"']]) {
    assert.ok(dashboard.includes(right), right);
    assert.notEqual(await faults(dashboard.replace(right, wrong)), '', wrong);
  }
});
