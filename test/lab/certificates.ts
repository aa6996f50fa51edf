import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Files that the control plane starts from. */
export interface ClusterSecrets {
  readonly caCertificate: string;
  readonly caKey: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
  /** For `--token-auth-file`. */
  readonly tokenFile: string;
  readonly tokens: Readonly<Record<Identity, string>>;
}

/** Who may speak to the API server by a fixed token. */
const groups = {
  admin: 'system:masters',
  // The virtual kubelet creates what a kubelet may not, events in any namespace for one.
  'system:node': 'system:masters',
  'system:kube-controller-manager': '',
  'system:kube-scheduler': '',
  'system:kube-proxy': '',
} as const;
export type Identity = keyof typeof groups;

/** Makes them anew, for a server that is reached by these names and addresses. */
export async function makeSecrets(
  folder: string,
  names: readonly string[],
  addresses: readonly string[],
): Promise<ClusterSecrets> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = (name: string): string => join(folder, name);
  const secrets = {
    caCertificate: file('ca.crt'),
    caKey: file('ca.key'),
    serverCertificate: file('server.crt'),
    serverKey: file('server.key'),
    serviceAccountKey: file('service-account.key'),
    serviceAccountPublicKey: file('service-account.pub'),
    tokenFile: file('tokens.csv'),
    tokens: {
      admin: newToken(),
      'system:node': newToken(),
      'system:kube-controller-manager': newToken(),
      'system:kube-scheduler': newToken(),
      'system:kube-proxy': newToken(),
    },
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-subj', '/CN=weir-lab', '-keyout', secrets.caKey, '-out', secrets.caCertificate];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '30',
    ...ca,
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  );
  const alternatives = [
    ...names.map((name) => `DNS:${name}`),
    ...addresses.map((address) => `IP:${address}`),
  ];
  const server = [
    '-subj',
    '/CN=kube-apiserver',
    '-keyout',
    secrets.serverKey,
    '-out',
    secrets.serverCertificate,
  ];
  const signer = ['-CA', secrets.caCertificate, '-CAkey', secrets.caKey];
  const use = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=serverAuth'];
  const reach = ['-addext', `subjectAltName=${alternatives.join(',')}`];
  await openssl('req', '-x509', ...key, '-days', '30', ...server, ...signer, ...use, ...reach);
  // Tokens of service accounts are signed with it; RSA is what every verifier out there knows.
  await openssl('genrsa', '-out', secrets.serviceAccountKey, '2048');
  await openssl('rsa', '-in', secrets.serviceAccountKey, '-pubout', '-out', secrets.serviceAccountPublicKey);
  await writeFile(secrets.tokenFile, tokenLines(secrets.tokens), { mode: 0o600 });
  return secrets;
}

/** Lines of `token,user,uid,"groups"`. */
function tokenLines(tokens: Readonly<Record<Identity, string>>): string {
  const identities = Object.keys(groups) as Identity[];
  return identities.map((user) => `${tokens[user]},${user},${user},"${groups[user]}"\n`).join('');
}

/** A kubeconfig file as JSON, which is YAML too. */
export function kubeconfig(server: string, caCertificate: string, token: string): string {
  const name = 'weir-lab';
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name,
          cluster: { server, 'certificate-authority-data': Buffer.from(caCertificate).toString('base64') },
        },
      ],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    },
    undefined,
    2,
  )}\n`;
}

function newToken(): string {
  return randomBytes(24).toString('hex');
}

async function openssl(...args: readonly string[]): Promise<void> {
  const result = await execa('openssl', args, { reject: false, stdin: 'ignore' });
  if (result.failed) throw new Error(`openssl ${args[0]}: ${result.stderr || result.shortMessage}`);
}
