# One static binary on an empty image: nothing else in it to patch, to run or to break out with.
# Needs no BuildKit: `docker build -t linehub .`

# Any image of Debian with a Rust toolchain, gcc and the static C library.
ARG BUILDER=rust:1-bookworm
FROM ${BUILDER} AS build
WORKDIR /src

# Static, so that the image needs no C library; the explicit target keeps the flag away from build scripts and macros.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_PROFILE_RELEASE_DEBUG=none

# The dependencies alone, behind stubs of our own code: this layer lasts until Cargo.toml or Cargo.lock changes.
# Cargo insists that the benches which the manifest names exist.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && sed -n '/^\[\[bench\]\]/,/^$/s/^name *= *"\(.*\)"/benches\/\1.rs/p' Cargo.toml | xargs -r touch \
    && cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')"

# Our own code. COPY keeps the files' own times, which may be older than the stubs': touch, or cargo would keep the stubs.
COPY src src
RUN touch src/main.rs src/lib.rs \
    && host="$(rustc -vV | sed -n 's/^host: //p')" \
    && cargo build --release --locked --target "$host" \
    && mkdir -p /out/program /out/owned/data \
    && cp "target/$host/release/linehub" /out/program/linehub

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="linehub" \
      org.opencontainers.image.description="A chat server and message broker for anything that can print a line" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The program belongs to root, so that it cannot change itself; the data belong to the one who runs it.
COPY --from=build /out/program/ /
COPY --from=build --chown=65532:65532 /out/owned/ /

# A number, since there is no /etc/passwd: it also satisfies Kubernetes' `runAsNonRoot`.
USER 65532:65532
VOLUME /data
# 7878 speaks whatever the first bytes show, 7879 JSON-lines alone.
EXPOSE 7878 7879
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/linehub", "ping"]
ENTRYPOINT ["/linehub"]
CMD ["serve", "--data", "/data"]
