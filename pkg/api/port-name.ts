const dnsLabel = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Whether a Service or EndpointSlice port may be called so: an RFC 1123 label. */
export function isPortName(name: string): boolean {
  return dnsLabel.test(name);
}

/** Whether a container port may be called so (IANA_SVC_NAME, RFC 6335 §5.1): at most 15 characters, one of them a letter. */
export function isContainerPortName(name: string): boolean {
  return name.length <= 15 && dnsLabel.test(name) && /[a-z]/.test(name) && !name.includes('--');
}
