/** iptables lives in sbin, which the PATH of a service manager or of an unprivileged shell may lack. */
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What programs get: messages are in English, and nothing of ours leaks. */
export function programEnvironment(path = systemPath): Readonly<Record<string, string>> {
  return { LC_ALL: 'C', PATH: path };
}
