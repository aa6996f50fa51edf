import { restartWithMemoryFlags } from './memory-flags.ts';

if (import.meta.main) restartWithMemoryFlags();
await import('./main.ts');
