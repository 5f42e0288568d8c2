"""Models behind servers that speak the OpenAI protocol: `connect.connect` gives one that programs and jobs run on."""
