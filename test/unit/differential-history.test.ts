import { describe, expect, test } from 'vitest';
import { type ClusterState, numberOf, numbers, places } from '../e2e/differential/cluster-state.ts';
import { type Batch, type Round, randomRound } from '../e2e/differential/history.ts';

const seeds = Array.from({ length: 20 }, (_, seed) => seed);
const rounds = seeds.map((seed) => randomRound(seed, 6));

interface Step {
  readonly before: Batch;
  readonly after: Batch;
}

function stepsOf({ batches }: Round): readonly Step[] {
  return batches.slice(1).flatMap((after, index) => {
    const before = batches[index];
    return before === undefined ? [] : [{ before, after }];
  });
}

const steps = rounds.flatMap(stepsOf);

function numbersIn(state: ClusterState): readonly (number | undefined)[] {
  return state.map((service, place) => (service === undefined ? undefined : numberOf(state, place)));
}

describe('a random history', () => {
  test('is the same for the same seed, and another for another', () => {
    expect(randomRound(7, 6)).toEqual(randomRound(7, 6));
    expect(randomRound(7, 6)).not.toEqual(randomRound(8, 6));
  });

  test('has both kinds of restart, each after the first batch and one of them with changes meanwhile', () => {
    for (const { batches } of rounds) {
      expect(batches[0]?.restart).toBeUndefined();
      const restarts = batches.flatMap(({ restart }) => (restart === undefined ? [] : [restart]));
      expect(restarts.map(({ how }) => how).toSorted()).toEqual(['killed', 'stopped']);
      expect(restarts.map(({ changes }) => changes).toSorted()).toEqual(['afterwards', 'meanwhile']);
    }
  });

  test('never gives two Services one number at a time', () => {
    for (const { state } of rounds.flatMap(({ batches }) => batches)) {
      const given = numbersIn(state).filter((number) => number !== undefined);
      expect(new Set(given).size).toBe(given.length);
      expect(given.every((number) => numbers.includes(number))).toBe(true);
    }
  });

  test('changes the zone of the node, to another and to none', () => {
    const zones = steps
      .filter(({ before, after }) => before.zone !== after.zone)
      .map(({ after }) => after.zone);
    expect(new Set(zones)).toEqual(new Set(['z1', 'z2', undefined]));
  });

  test('has Services that come back with other addresses, and with the same', () => {
    const rebirths = steps.flatMap(({ before, after }) =>
      Array.from({ length: places }, (_, place) => place)
        .filter((place) => {
          const [was, is] = [before.state[place], after.state[place]];
          return was !== undefined && is !== undefined && was.life !== is.life;
        })
        .map((place) => numberOf(before.state, place) === numberOf(after.state, place)),
    );
    expect(new Set(rebirths)).toEqual(new Set([true, false]));
  });

  test('has numbers that go from one Service to another in one batch', () => {
    const handedOver = steps.flatMap(({ before, after }) => {
      const was = numbersIn(before.state);
      const is = numbersIn(after.state);
      return numbers.filter(
        (number) => was.includes(number) && is.includes(number) && was.indexOf(number) !== is.indexOf(number),
      );
    });
    expect(handedOver).not.toEqual([]);
  });
});
