export { type Dirty, Store } from './store.ts';
