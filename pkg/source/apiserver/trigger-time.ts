import { annotationOf } from './wire-object.ts';

const annotation = 'endpoints.kubernetes.io/last-change-trigger-time';
/** RFC 3339 with as many decimals as Go likes; Date takes three. */
const rfc3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/;

/**
 * When the cause of an EndpointSlice's change happened, as its annotation says, in milliseconds since 1970 with decimals;
 * `undefined` without the annotation or when it can't be read.
 */
export function triggerTimeOf(slice: unknown): number | undefined {
  const text = annotationOf(slice, annotation);
  const [, seconds, decimals = '', zone] = (typeof text === 'string' && rfc3339.exec(text)) || [];
  if (seconds === undefined || zone === undefined) return undefined;
  const whole = Date.parse(`${seconds}${zone}`);
  return Number.isNaN(whole) ? undefined : whole + Number(`0.${decimals || 0}`) * 1000;
}
