//! Where the database and Redis are.

use std::fmt::Write;

use regatta_core::Secret;

crate::settings! {
    /// Where the database is.
    pub struct DatabaseSettings in "database" {
        /// The whole URL, such as postgres://app@db/app or sqlite:///var/lib/app/app.db; when it is
        /// set, host, port, name, user and password are not used.
        pub url: Option<Secret>, env "DATABASE_URL";
        /// Host name or address.
        pub host: String = "localhost".to_owned();
        /// Port.
        pub port: u16 = 5432, range 1..;
        /// Name of the database.
        pub name: String = "app".to_owned();
        /// User.
        pub user: String = "postgres".to_owned();
        /// Password of the user; none when empty.
        pub password: Secret;
    }
}

crate::settings! {
    /// Where Redis is.
    pub struct RedisSettings in "redis" {
        /// The whole URL, such as redis://cache:6379; when it is set, host and port are not used.
        pub url: Option<Secret>, env "REDIS_URL";
        /// Host name or address.
        pub host: String = "localhost".to_owned();
        /// Port.
        pub port: u16 = 6379, range 1..;
    }
}

impl DatabaseSettings {
    /// The URL, with user, password and name percent-encoded (RFC 3986, section 2.1).
    pub fn to_url(&self) -> Secret {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let password = match self.password.expose() {
            "" => String::new(),
            password => format!(":{}", encode(password)),
        };
        let user = match self.user.as_str() {
            "" => String::new(),
            user => format!("{}{password}@", encode(user)),
        };
        let (host, port, name) = (authority(&self.host), self.port, encode(&self.name));
        Secret::new(format!("postgres://{user}{host}:{port}/{name}"))
    }
}

impl RedisSettings {
    /// The URL.
    pub fn to_url(&self) -> Secret {
        match &self.url {
            Some(url) => url.clone(),
            None => Secret::new(format!("redis://{}:{}", authority(&self.host), self.port)),
        }
    }
}

/// A host as it stands in a URL: IPv6 in brackets, the folder of a socket percent-encoded.
fn authority(host: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false if host.starts_with('[') => host.to_owned(),
        false => encode(host),
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_make_the_url_of_the_source_design() {
        let url = DatabaseSettings::default().to_url();
        assert_eq!(url.expose(), "postgres://postgres@localhost:5432/app");
        assert_eq!(RedisSettings::default().to_url().expose(), "redis://localhost:6379");
    }

    #[test]
    fn user_password_and_name_are_percent_encoded() {
        let settings = DatabaseSettings {
            user: "a@b".to_owned(),
            password: Secret::new("p:/?#[]@ ü%"),
            name: "my db".to_owned(),
            ..DatabaseSettings::default()
        };
        assert_eq!(
            settings.to_url().expose(),
            "postgres://a%40b:p%3A%2F%3F%23%5B%5D%40%20%C3%BC%25@localhost:5432/my%20db"
        );
    }

    #[test]
    fn an_ipv6_host_gets_brackets_and_a_socket_folder_is_encoded() {
        let url = |host: &str| {
            let host = host.to_owned();
            DatabaseSettings { host, ..DatabaseSettings::default() }.to_url().expose().to_owned()
        };
        assert_eq!(url("::1"), "postgres://postgres@[::1]:5432/app");
        assert_eq!(url("[::1]"), "postgres://postgres@[::1]:5432/app");
        assert_eq!(url("/run/pg"), "postgres://postgres@%2Frun%2Fpg:5432/app");
    }

    #[test]
    fn the_whole_url_wins() {
        let url = Some(Secret::new("sqlite:///tmp/x.db"));
        let settings = DatabaseSettings { url, ..DatabaseSettings::default() };
        assert_eq!(settings.to_url().expose(), "sqlite:///tmp/x.db");
    }
}
