-- The article's tables, for SHOP_SCHEMA=article: made where there are none, never changed.
-- No key, no attempt and no time zone: which request made a row can only be inferred.

CREATE TABLE products (
    id    serial PRIMARY KEY,
    name  varchar(100) NOT NULL UNIQUE,
    price decimal(10, 2) NOT NULL,
    stock integer NOT NULL DEFAULT 0
);

CREATE TABLE orders (
    id         serial PRIMARY KEY,
    product_id integer REFERENCES products (id),
    quantity   integer NOT NULL,
    total      decimal(10, 2) NOT NULL,
    status     varchar(20) DEFAULT 'pending',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);
