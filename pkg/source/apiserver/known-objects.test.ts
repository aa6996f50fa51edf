import { beforeEach, expect, test } from 'vitest';
import { wirePod } from '../../../test/support/source-world.ts';
import { ToldSource } from '../../../test/support/told-source.ts';
import { KnownObjects } from './known-objects.ts';
import { SharedValues } from './shared-values.ts';

let told = new ToldSource();
let known = new KnownObjects('Pod', told, new SharedValues());

beforeEach(() => {
  told = new ToldSource();
  known = new KnownObjects('Pod', told, new SharedValues());
});

function upsert(name: string, resourceVersion = '1'): void {
  known.upsert({ namespace: 'shop', name, resourceVersion }, wirePod(name, '10.1.0.1'));
}

function list(...names: readonly string[]): void {
  known.beginList();
  for (const name of names) upsert(name);
  known.endList();
}

test('tells a version once', () => {
  upsert('a', '1');
  upsert('a', '1');
  upsert('a', '2');
  expect(told.takeLog()).toEqual(['+ Pod shop/a', '+ Pod shop/a']);
  expect(known.size).toBe(1);
});

test('takes away what a complete list does not have', () => {
  list('a', 'b');
  told.takeLog();
  list('b', 'c');
  expect(told.takeLog()).toEqual(['+ Pod shop/c', '- Pod shop/a']);
  expect(known.size).toBe(2);
});

test('takes nothing away over a list that broke off, and knows everything after it', () => {
  list('a', 'b');
  known.beginList();
  upsert('c');
  known.abandonList();
  told.takeLog();
  expect(known.size).toBe(3);
  list('c');
  expect(told.takeLog()).toEqual(['- Pod shop/a', '- Pod shop/b']);
});

test('counts nothing of a list that began anew', () => {
  list('a', 'b');
  told.takeLog();
  known.beginList();
  upsert('b');
  upsert('c');
  known.beginList();
  upsert('c');
  known.endList();
  expect(told.takeLog().toSorted()).toEqual(['+ Pod shop/c', '- Pod shop/a', '- Pod shop/b']);
});

test('tells once that an object went while a list was read', () => {
  list('a');
  told.takeLog();
  known.beginList();
  known.remove({ namespace: 'shop', name: 'a' });
  known.endList();
  expect(told.takeLog()).toEqual(['- Pod shop/a']);
  expect(known.size).toBe(0);
});

test('does not tell that something went that nobody knows', () => {
  known.remove({ namespace: 'shop', name: 'a' });
  expect(told.takeLog()).toEqual([]);
  expect(known.takeChanged()).toBe(false);
});
