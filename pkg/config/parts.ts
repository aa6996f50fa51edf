/**
 * What Weir writes, in parts that stand and fail alone. In the order in which they are written: policies hold before Services
 * send packets to pods, and their jump stands first.
 */
export const parts = ['policies', 'services'] as const;
export type Part = (typeof parts)[number];
