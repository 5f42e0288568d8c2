"""`lmprog serve`: one engine behind OpenAI's HTTP API, and programs as endpoints. See docs/serve.md."""
