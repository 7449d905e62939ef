FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN mkdir -p /rootfs/etc/ssl/certs \
    && mkdir -m 0700 /rootfs/data \
    && mkdir -m 1777 /rootfs/tmp \
    && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /rootfs/florin ./cmd/florin \
    && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ \
    && chown -R 65532:65532 /rootfs/data

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
# The image is for production: a development server must ask for its profile. The admin listener stays inside the
# container unless ADMIN_ADDR says otherwise.
ENV PROFILE=production \
    DATA_DIR=/data \
    HTTP_ADDR=0.0.0.0:8080 \
    ADMIN_ADDR=127.0.0.1:8081
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["/florin"]
CMD ["serve"]
