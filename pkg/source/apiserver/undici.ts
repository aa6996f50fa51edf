// A module of its own, imported only when an API server is used. What a bundler makes of `import('undici')` has no names
// but `default`, since the library is CommonJS inside.
export { Agent, buildConnector } from 'undici';
