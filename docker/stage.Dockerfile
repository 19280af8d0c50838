# The worker on top of any other image, whose own server stays as it is. The first stage holds the worker alone;
# a Dockerfile of your own needs its "COPY --from" and the last lines only.
#   docker build -f docker/stage.Dockerfile --build-arg BASE=your/image --build-arg SERVER='/your/server --port 8081' build
# BASE's own ENTRYPOINT and CMD are replaced. The worker needs no shell in BASE. For a server that uses a GPU,
# --build-arg WORKER=worker-gpu takes the worker that checks the GPU before it starts the server.
ARG BASE
FROM scratch AS worker
ARG WORKER=worker
COPY ${WORKER} /worker

FROM ${BASE}
COPY --from=worker /worker /worker
ARG SERVER
ARG URL=http://127.0.0.1:8081
ENV RP_HANDLER=${SERVER} RP_HANDLER_HTTP=${URL}
ENTRYPOINT ["/worker"]
CMD []
