import { expect, test } from 'vitest';
import { wirePod, wirePolicy, wireService, wireSlice } from '../../../test/support/source-world.ts';
import { type ApiObject, decodeObject } from '../../api/index.ts';
import { compactObject } from './compact-object.ts';
import { SharedValues } from './shared-values.ts';

function decoded(raw: unknown): ApiObject {
  const result = decodeObject(raw);
  if (result.outcome !== 'object') throw new Error(JSON.stringify(result));
  return result.object;
}

function labelled(name: string, labels: object): unknown {
  const pod = wirePod(name, '10.1.0.1') as { readonly metadata: object };
  return { ...pod, metadata: { ...pod.metadata, labels } };
}

test.each([
  ['Service', wireService('web', '10.0.0.1')],
  ['EndpointSlice', { ...wireSlice('web', '10.1.0.1'), ports: null }],
  ['EndpointSlice', wireSlice('web', '10.1.0.1')],
  ['Pod', labelled('web', JSON.parse('{"app":"web","__proto__":"x"}') as object)],
  ['NetworkPolicy', wirePolicy('web', 80)],
])('says the same of a %s', (_, raw) => {
  const object = decoded(raw);
  expect(compactObject(object, new SharedValues())).toEqual(object);
});

test('shares what pods of one ReplicaSet have', () => {
  const shared = new SharedValues();
  const [one, two, other] = [
    labelled('one', { app: 'web', hash: 'x' }),
    labelled('two', { app: 'web', hash: 'x' }),
    labelled('other', { app: 'web', hash: 'y' }),
  ].map((raw) => compactObject(decoded(raw), shared) as { readonly labels?: unknown });
  expect(one?.labels).toBe(two?.labels);
  expect(one?.labels).not.toBe(other?.labels);
});
