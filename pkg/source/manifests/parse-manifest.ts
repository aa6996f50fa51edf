import type { ParsedManifest } from './manifest-document.ts';
import { parseJsonManifest } from './parse-json-manifest.ts';
import { parseYamlManifest } from './parse-yaml-manifest.ts';

/**
 * Parses a file of one JSON value or any number of YAML documents. The content decides, not the file's name: what begins
 * like a JSON object is tried as JSON first, which is many times faster.
 */
export function parseManifest(text: string): ParsedManifest {
  const content = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return parseJsonManifest(content) ?? parseYamlManifest(content);
}
