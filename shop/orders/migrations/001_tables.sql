-- The shop's tables. Never change a migration that has been released: add the next one.

CREATE TABLE products (
    id    serial PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    stock integer NOT NULL CHECK (stock >= 0)
);

CREATE TABLE orders (
    id         bigserial PRIMARY KEY,
    product_id integer NOT NULL REFERENCES products (id),
    quantity   integer NOT NULL CHECK (quantity > 0),
    total      numeric(12, 2) NOT NULL CHECK (total >= 0),
    status     text NOT NULL,
    -- The start of the transaction, not its commit.
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What the customer wants once (Idempotency-Key); absent where none was sent.
    order_key  text UNIQUE,
    -- The request that made this row (X-Request-Id): always the first one of its key.
    attempt_id text,
    served_by  text NOT NULL
);
