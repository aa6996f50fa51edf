import type { Store } from '../../pkg/cache/index.ts';
import type { EventObject } from './event-object.ts';
import type { EventSink } from './event-recorder.ts';

/** Adds to events the uid of their object, as the store has it at that moment. */
export function eventsWithUids(sink: EventSink, store: Pick<Store, 'get'>): EventSink {
  return { event: (details) => sink.event({ ...details, regarding: withUid(details.regarding, store) }) };
}

/** `kubectl describe node` also finds what has the node's name for its uid, as the kubelet once wrote it: so does who does not know it yet. */
function withUid(object: EventObject, store: Pick<Store, 'get'>): EventObject {
  if (object.kind === 'Node') {
    const known = store.get('Node', '', object.name)?.uid ?? '';
    return { ...object, uid: known === '' ? object.name : known };
  }
  const uid = store.get('Service', object.namespace, object.name)?.uid ?? '';
  return uid === '' ? object : { ...object, uid };
}
