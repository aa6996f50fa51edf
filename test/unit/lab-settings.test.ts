import { parseArgs } from 'node:util';
import { expect, test } from 'vitest';
import { defaultKind, kindOf, kindOptions } from '../lab/settings.ts';

function kindFrom(...args: readonly string[]) {
  return kindOf(parseArgs({ args: [...args], options: kindOptions }).values);
}

test('a lab is of the default kind where nothing is said, and of another where something is', () => {
  expect(kindFrom()).toEqual(defaultKind);
  expect(kindFrom('--network', 'bridged', '--backend', 'nft')).toEqual({
    ...defaultKind,
    network: 'bridged',
    backend: 'nft',
  });
});

test.each(['proxy', 'backend', 'network'])(
  'a word that --%s does not know is refused with those it knows',
  (option) => {
    expect(() => kindFrom(`--${option}`, 'bridge')).toThrow(
      new RegExp(`^--${option} is one of \\w.*, .*, not bridge$`, 'u'),
    );
  },
);
