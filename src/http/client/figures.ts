/** How a client's connections were used since it was made. */
export interface ReuseFigures {
  /** Connections made. */
  readonly new: number;
  /** Requests that were sent on a connection which had served another one. */
  readonly reused: number;
  /** Idle connections that a request found too old to be used again. */
  readonly expired: number;
  /** Reused connections that the server ended before any byte of an answer. */
  readonly stale: number;
  /** Requests sent again for that. `stale - replayed` were the caller's to deal with. */
  readonly replayed: number;
  /** What as many new connections would have taken: for each reuse the average time in which this origin's were made, TLS included. */
  readonly handshakeMsSaved: number;
}

/** The figures while they are counted. */
export class ReuseCount implements ReuseFigures {
  new = 0;
  reused = 0;
  expired = 0;
  stale = 0;
  replayed = 0;
  handshakeMsSaved = 0;

  add(other: ReuseFigures): void {
    this.new += other.new;
    this.reused += other.reused;
    this.expired += other.expired;
    this.stale += other.stale;
    this.replayed += other.replayed;
    this.handshakeMsSaved += other.handshakeMsSaved;
  }

  /** @example dispatcher.figures // { new: 4, reused: 996, expired: 0, stale: 1, replayed: 1, handshakeMsSaved: 812.4 } */
  snapshot(): ReuseFigures {
    const { new: made, reused, expired, stale, replayed, handshakeMsSaved } = this;
    return { new: made, reused, expired, stale, replayed, handshakeMsSaved };
  }
}
