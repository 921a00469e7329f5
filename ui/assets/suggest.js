// What one may type next.
