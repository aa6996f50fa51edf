import { expect, test } from 'vitest';
import { fieldSelectorText, selectsObject } from './field-selector.ts';

const notHeadless = { field: 'spec.clusterIP', operator: '!=', value: 'None' } as const;
const ownNode = { field: 'metadata.name', operator: '=', value: 'node-1' } as const;

test('is written as the API takes it', () => {
  expect(fieldSelectorText(notHeadless)).toBe('spec.clusterIP!=None');
  expect(fieldSelectorText(ownNode)).toBe('metadata.name=node-1');
});

test.each([
  [{ spec: { clusterIP: '10.0.0.1' } }, true],
  [{ spec: { clusterIP: 'None' } }, false],
  [{ spec: { clusterIP: '' } }, true],
  // A field that is missing is empty, as in the server: an ExternalName Service has none.
  [{ spec: {} }, true],
  [{ spec: null }, true],
  [{}, true],
  ['no object', true],
])('leaves out headless Services: %j', (object, selected) => {
  expect(selectsObject(notHeadless, object)).toBe(selected);
});

test.each([
  [{ metadata: { name: 'node-1' } }, true],
  [{ metadata: { name: 'node-10' } }, false],
  [{ metadata: {} }, false],
])('leaves out other nodes: %j', (object, selected) => {
  expect(selectsObject(ownNode, object)).toBe(selected);
});
