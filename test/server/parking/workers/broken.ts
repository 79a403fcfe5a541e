// Does not even start.
throw new Error("no start");
