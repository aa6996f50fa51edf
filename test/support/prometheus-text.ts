/** One line of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const types = ['counter', 'gauge', 'histogram', 'summary', 'untyped'] as const;
const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/;

/**
 * Reads a scrape in Prometheus' text format 0.0.4 and is as strict as its documentation allows: each family once, with HELP and TYPE before
 * its samples, no series twice, histograms with rising buckets, `+Inf`, a sum and a count that agree. Throws with the line.
 */
export function parsePrometheusText(text: string): ReadonlyMap<string, MetricFamily> {
  const families = new Map<string, MetricFamily & { samples: Sample[] }>();
  const helps = new Map<string, string>();
  let current: (MetricFamily & { samples: Sample[] }) | undefined;
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      expectThat(metricName.exec(name)?.[0] === name && !helps.has(name), line);
      helps.set(name, rest);
    } else if (keyword === 'TYPE') {
      const type = types.find((one) => one === rest);
      expectThat(type !== undefined && !families.has(name), line);
      current = { name, type: type ?? 'untyped', help: helps.get(name) ?? '', samples: [] };
      expectThat(current.help !== '', line);
      families.set(name, current);
    } else {
      const sample = parseSample(line);
      expectThat(current !== undefined && belongs(sample.name, current), line);
      current?.samples.push(sample);
    }
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function belongs(sample: string, { name, type }: MetricFamily): boolean {
  if (type !== 'histogram') return sample === name;
  return ['_bucket', '_sum', '_count'].some((end) => sample === name + end);
}

function parseSample(line: string): Sample {
  const name = metricName.exec(line)?.[0] ?? '';
  expectThat(name !== '', line);
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    while (!rest.startsWith('}')) {
      const label = labelName.exec(rest)?.[0] ?? '';
      const [quoted = '', escaped = ''] =
        /^="((?:[^"\\\n]|\\[\\"n])*)",?/.exec(rest.slice(label.length)) ?? [];
      expectThat(label !== '' && quoted !== '' && !Object.hasOwn(labels, label), line);
      labels[label] = escaped.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
      rest = rest.slice(label.length + quoted.length);
    }
    rest = rest.slice(1);
  }
  const [, number = ''] = /^ (\S+)$/.exec(rest) ?? [];
  return { name, labels, value: parseNumber(number, line) };
}

function parseNumber(text: string, line: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  if (text === 'NaN' || text === 'Nan') return Number.NaN;
  expectThat(/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text), line);
  return Number(text);
}

function checkFamily(family: MetricFamily): void {
  const series = family.samples.map(seriesOf);
  expectThat(new Set(series).size === series.length, `${family.name} has a series twice`);
  if (family.type === 'counter')
    for (const { value } of family.samples) expectThat(value >= 0, `${family.name} is negative`);
  if (family.type === 'histogram') checkHistogram(family);
}

function checkHistogram({ name, samples }: MetricFamily): void {
  const withoutBound = ({ labels }: Sample): string =>
    seriesOf({ name: '', labels: { ...labels, le: '' }, value: 0 });
  for (const [series, ofSeries] of Map.groupBy(samples, withoutBound)) {
    const one = (end: string): number => {
      const found = ofSeries.filter((sample) => sample.name === name + end);
      expectThat(found.length === 1, `${name}${series} has ${found.length} of ${end}`);
      return found[0]?.value ?? 0;
    };
    const buckets = ofSeries.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => parseNumber(labels['le'] ?? '', `${name} without le`));
    const rises = (values: readonly number[], strictly: boolean): boolean =>
      values.every((value, index) => {
        const before = values[index - 1] ?? Number.NEGATIVE_INFINITY;
        return strictly ? value > before : value >= before;
      });
    expectThat(rises(bounds, true) && bounds.at(-1) === Number.POSITIVE_INFINITY, `${name} bounds`);
    expectThat(
      rises(
        buckets.map(({ value }) => value),
        false,
      ),
      `${name} counts fall`,
    );
    expectThat(buckets.at(-1)?.value === one('_count') && one('_sum') >= 0, `${name} count and sum`);
  }
}

function seriesOf({ name, labels }: Sample): string {
  return JSON.stringify([name, Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
}

function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(`no valid scrape: ${what}`);
}

/** Upper bounds of a histogram, in order, without the last. */
export function bucketBounds(family: MetricFamily | undefined): readonly number[] {
  const bounds = (family?.samples ?? []).flatMap(({ labels }) =>
    labels['le'] === undefined ? [] : [labels['le']],
  );
  return [...new Set(bounds)].filter((bound) => bound !== '+Inf').map(Number);
}

/** The value of one series; `undefined` where there is none. */
export function sampleValue(
  families: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ''));
  return family?.samples.find((sample) => seriesOf(sample) === seriesOf({ name, labels, value: 0 }))?.value;
}
