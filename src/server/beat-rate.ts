/** Beats of one session that may come at once, in units of the time allowed for one. */
export const beatBurst = 40;
