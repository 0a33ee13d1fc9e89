"""The engines: JavaScript that computes what ``lmmath`` computes, and draws nothing."""
