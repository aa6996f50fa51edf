import { cachedGoBuild, goOptions } from './go-build.ts';

const sources = new URL('traefik/', import.meta.url).pathname;
const program = 'github.com/traefik/traefik/v3/cmd/traefik';

/** The folder with the program `traefik`, an ingress controller. Throws what people can act on. */
export function traefikFolder(say: (line: string) => void = console.error): Promise<string> {
  const commands = async (folder: string) => [
    { module: '.', args: ['build', ...goOptions('', '-s -w'), '-o', `${folder}/`, program] },
  ];
  return cachedGoBuild({ name: 'traefik', what: 'Traefik', sources, commands }, say);
}
