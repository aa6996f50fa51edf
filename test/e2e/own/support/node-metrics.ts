import { type MetricFamily, parsePrometheusText } from '../../../support/prometheus-text.ts';
import type { OwnLab } from './own-lab.ts';

export type Scrape = ReadonlyMap<string, MetricFamily>;

/** What Weir on that node says of itself. */
export async function scrapeNode(lab: OwnLab, node: string): Promise<Scrape> {
  const script = "fetch('http://127.0.0.1:10249/metrics').then((answer) => answer.text()).then(console.log)";
  const text = await lab.exec(node, [process.execPath, '-e', script]);
  return parsePrometheusText(`${text.trimEnd()}\n`);
}

/** The sum of all series of that name; throws where there is none, so that a name that is gone is noticed. */
export function total(scrape: Scrape, name: string): number {
  const samples = scrape.get(name)?.samples ?? [];
  if (samples.length === 0) throw new Error(`there is no series ${name}`);
  return samples.reduce((sum, { value }) => sum + value, 0);
}
