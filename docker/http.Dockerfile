# A program with an HTTP port as a worker: the program, what it serves, the worker, and nothing else. The example
# is busybox's httpd over a folder of files; llama.cpp's server and a model go into an image the same way
# (statically linked, or with its libraries). Wanted in the folder that it is built from:
#   worker      build/worker, and tmp.tar, build/tmp.tar, by ./build.sh
#   busybox     a static one: /usr/bin/busybox of Debian's busybox-static
#   files/      what is served; files/health tells the worker that the server is up
# docker build -f docker/http.Dockerfile FOLDER
FROM scratch
ADD tmp.tar /
COPY worker /worker
COPY busybox /busybox
COPY files /files
USER 65534:65534
ENTRYPOINT ["/worker", \
    "--handler", "/busybox httpd -f -p 127.0.0.1:8081 -h /files", \
    "--handler-http", "http://127.0.0.1:8081"]
