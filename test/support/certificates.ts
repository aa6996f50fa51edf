import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate with its key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateAuthority extends Certificate {
  /** A certificate for a server that has these names and addresses, and for a client whose user is the first of them. */
  issue(names: readonly [string, ...string[]]): Certificate;
}

let serial = 0;

/** A certificate authority for one test; its certificates are valid for the year around now. */
export function createCertificateAuthority(name: string): CertificateAuthority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const basic = extension('2.5.29.19', sequence(der(0x01, Buffer.from([0xff]))));
  const usage = extension('2.5.29.15', der(0x03, Buffer.from([0x01, 0x06])));
  const keyId = createHash('sha1').update(publicDer(keys.publicKey)).digest();
  const cert = certificate(
    { issuer: name, subject: name, publicKey: keys.publicKey, issuerKey: keys.privateKey },
    [basic, usage, extension('2.5.29.14', der(0x04, keyId))],
  );
  return {
    cert,
    key: pemKey(keys.privateKey),
    issue: (names) => {
      const own = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      const alternatives = extension('2.5.29.17', sequence(...names.map((name) => alternativeName(name))));
      const subject = {
        issuer: name,
        subject: names[0],
        publicKey: own.publicKey,
        issuerKey: keys.privateKey,
      };
      return { cert: certificate(subject, [alternatives]), key: pemKey(own.privateKey) };
    },
  };
}

interface Subject {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuerKey: KeyObject;
}

/** X.509 v3 (RFC 5280 §4.1), signed with ECDSA and SHA-256. */
function certificate(names: Subject, extensions: readonly Buffer[]): string {
  serial += 1;
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2'));
  const halfYear = 182 * 24 * 3600 * 1000;
  const body = sequence(
    der(0xa0, integer(2)),
    integer(serial),
    algorithm,
    commonName(names.issuer),
    sequence(time(Date.now() - halfYear), time(Date.now() + halfYear)),
    commonName(names.subject),
    publicDer(names.publicKey),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, names.issuerKey);
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), der(0x04, value));
}

function alternativeName(name: string): Buffer {
  const family = isIP(name);
  if (family === 0) return der(0x82, Buffer.from(name));
  if (family === 4) return der(0x87, Buffer.from(name.split('.').map(Number)));
  const groups = URL.parse(`http://[${name}]`)?.hostname.slice(1, -1).split('::') ?? [];
  const [head = [], tail = []] = groups.map((half) => (half === '' ? [] : half.split(':')));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  const hex = [...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join('');
  return der(0x87, Buffer.from(hex, 'hex'));
}

function commonName(name: string): Buffer {
  return sequence(der(0x31, sequence(objectId('2.5.4.3'), der(0x0c, Buffer.from(name)))));
}

function publicDer(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function pemKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\..*/g, '');
  return der(0x18, Buffer.from(`${digits}Z`));
}

function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return der(0x02, (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.from([0]), bytes]));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => base128(arc));
  return der(0x06, Buffer.from(bytes));
}

function base128(arc: number): readonly number[] {
  const digits = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    digits.unshift((rest % 128) + 128);
  }
  return digits;
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const significant = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 + significant.length]), significant, content]);
}
