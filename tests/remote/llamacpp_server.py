"""llama.cpp's HTTP server from the package xllamacpp: `python llamacpp_server.py MODEL.gguf PORT`."""

import sys
import time


def main(model: str, port: int) -> None:
    import xllamacpp  # type: ignore[import-not-found]

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.kv_unified = 4096, 4, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames, params.port = ["127.0.0.1"], port
    params.warmup, params.verbosity = False, -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    time.sleep(1 << 20)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
