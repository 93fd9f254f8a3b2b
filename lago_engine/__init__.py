"""lago_engine: event-sourced usage billing that speaks Lago's REST API."""
