import type { EventDetails } from '../../controllers/events/event-recorder.ts';
import { knownEvents } from '../../controllers/events/known-events.ts';

const longestName = 253;
/** So much of the name of its object an event has in its own: the rest is a dot and sixteen digits. */
const keptOfName = 236;

/** Names as long as an API server takes them, with a dash or a dot where the name of an event is cut. */
export const longestNodeNames: readonly string[] = ['---', '.'].map((cut) =>
  `${'a'.repeat(keptOfName - cut.length)}${cut}`.padEnd(longestName, 'b'),
);
export const longestService = { namespace: 'n'.repeat(63), service: 's'.repeat(63) } as const;

/** Characters of one, two, three and four bytes, and one that is made of several. */
const longestNote = 'wörter, 言葉, 👩‍👩‍👧 and words; '.repeat(60);

/** Every kind of event that Weir writes, about this Node or the Service, with more to say than there is room for. */
export function longestEvents(nodeName: string): readonly EventDetails[] {
  const { namespace, service } = longestService;
  const events: { readonly [Kind in keyof typeof knownEvents]: EventDetails } = {
    starting: knownEvents.starting(nodeName),
    healthServerFailed: knownEvents.healthServerFailed(nodeName, longestNote),
    metricsServerFailed: knownEvents.metricsServerFailed(nodeName, longestNote),
    serviceHealthServerFailed: knownEvents.serviceHealthServerFailed(namespace, service, longestNote),
    rulesRepaired: knownEvents.rulesRepaired(nodeName, longestNote),
    leftoversRemoved: knownEvents.leftoversRemoved(nodeName, longestNote),
    otherProxy: knownEvents.otherProxy(nodeName, longestNote),
    addressConflict: knownEvents.addressConflict(namespace, service, longestNote),
  };
  return Object.values(events);
}
