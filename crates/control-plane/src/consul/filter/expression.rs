//! Reads a filter expression.

use regex_lite::Regex;

/// How deep parentheses and `not` may be in one another: a person's expression has a few.
const MOST_DEPTH: usize = 32;

/// Something that holds for a row or does not.
#[derive(Debug)]
pub(super) enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Match(Match),
}

/// Something about one field.
#[derive(Debug)]
pub(super) struct Match {
    /// The names that lead to the field.
    pub(super) selector: Vec<String>,
    pub(super) operator: Operator,
    pub(super) is_negated: bool,
}

#[derive(Debug)]
pub(super) enum Operator {
    Equal(String),
    Empty,
    /// The text is an element, a name or a part of the field.
    In(String),
    Matches(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Equal,
    NotEqual,
    /// A field with its names, a keyword or a bare value: as written.
    Word(String, Vec<String>),
    Number(String),
    Quoted(String),
}

/// Reads a whole expression; what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let expression = parser.or()?;
    match parser.tokens.next() {
        None => Ok(expression),
        Some(token) => Err(format!("expected `and`, `or` or the end, not {}", shown(&token))),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expression, String> {
        let mut all = vec![self.and()?];
        while self.takes_word("or") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::Or(all) })
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut all = vec![self.not()?];
        while self.takes_word("and") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::And(all) })
    }

    fn not(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("it is nested deeper than {MOST_DEPTH} levels; make it simpler"));
        }
        let expression = if self.takes_word("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.tokens.next_if_eq(&Token::Open).is_some() {
            let inner = self.or()?;
            match self.tokens.next() {
                Some(Token::Close) => inner,
                other => return Err(unexpected("`)`", other)),
            }
        } else {
            Expression::Match(self.matched()?)
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn matched(&mut self) -> Result<Match, String> {
        let first = self.tokens.next();
        let (value, names) = match first {
            Some(Token::Word(text, names)) => (text, Some(names)),
            Some(Token::Number(text) | Token::Quoted(text)) => (text, None),
            other => return Err(unexpected("a field or a value", other)),
        };
        let Some(token) = self.tokens.next() else {
            return Err(unexpected("an operator", None));
        };
        let selector = |names: Option<Vec<String>>| {
            names.ok_or_else(|| format!("{value:?} is no field; behind a value comes `in`"))
        };
        let is_negated = token == Token::NotEqual || is_word(&token, "not");
        let has_not = is_word(&token, "not");
        let token = if has_not { self.tokens.next() } else { Some(token) };
        let (selector, operator) = match token {
            Some(Token::Equal | Token::NotEqual) if !has_not => {
                (selector(names)?, Operator::Equal(self.value()?))
            }
            Some(word) if is_word(&word, "is") && !is_negated => {
                let selector = selector(names)?;
                let is_negated = self.takes_word("not");
                if !self.takes_word("empty") {
                    return Err(unexpected("`empty`", self.tokens.next()));
                }
                return Ok(Match { selector, operator: Operator::Empty, is_negated });
            }
            Some(word) if is_word(&word, "contains") => {
                (selector(names)?, Operator::In(self.value()?))
            }
            Some(word) if is_word(&word, "matches") => {
                let (selector, pattern) = (selector(names)?, self.value()?);
                let regex = Regex::new(&pattern);
                let regex = regex.map_err(|error| {
                    format!("Failed to compile regular expression {pattern:?}: {error}")
                })?;
                (selector, Operator::Matches(regex))
            }
            Some(word) if is_word(&word, "in") => match self.tokens.next() {
                Some(Token::Word(_, names)) => (names, Operator::In(value)),
                other => return Err(unexpected("a field", other)),
            },
            other => {
                let operators = "`==`, `!=`, `in`, `contains`, `matches`, `is` or `not`";
                return Err(unexpected(operators, other));
            }
        };
        Ok(Match { selector, operator, is_negated })
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Word(text, _) | Token::Number(text) | Token::Quoted(text)) => Ok(text),
            other => Err(unexpected("a value", other)),
        }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| is_word(token, word)).is_some()
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(text, _) if text == word)
}

fn unexpected(wanted: &str, found: Option<Token>) -> String {
    match found {
        Some(token) => format!("expected {wanted}, not {}", shown(&token)),
        None => format!("expected {wanted} where it ends"),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Open => "`(`".to_owned(),
        Token::Close => "`)`".to_owned(),
        Token::Equal => "`==`".to_owned(),
        Token::NotEqual => "`!=`".to_owned(),
        Token::Word(text, _) | Token::Number(text) | Token::Quoted(text) => format!("`{text}`"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '(' => cut(&mut rest, 1, |_| Token::Open),
            ')' => cut(&mut rest, 1, |_| Token::Close),
            '=' if rest.starts_with("==") => cut(&mut rest, 2, |_| Token::Equal),
            '!' if rest.starts_with("!=") => cut(&mut rest, 2, |_| Token::NotEqual),
            '"' | '`' => Token::Quoted(quoted(&mut rest)?),
            '-' | '0'..='9' => number(&mut rest)?,
            'a'..='z' | 'A'..='Z' => word(&mut rest)?,
            _ => {
                let at = text.len() - rest.len();
                return Err(format!(
                    "`{first}` after {at} bytes means nothing; quote values with `\"`"
                ));
            }
        };
        tokens.push(token);
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn cut<T>(rest: &mut &str, length: usize, make: impl FnOnce(&str) -> T) -> T {
    let (token, behind) = rest.split_at(length);
    *rest = behind;
    make(token)
}

/// Text in quotation marks, with escapes, or in backquotes, without.
fn quoted(rest: &mut &str) -> Result<String, String> {
    let cut_off = || "a value has no closing quotation mark".to_owned();
    if rest.starts_with('`') {
        let (text, behind) = rest[1..].split_once('`').ok_or_else(cut_off)?;
        *rest = behind;
        return Ok(text.to_owned());
    }
    let mut is_escaped = false;
    let end = rest[1..].find(|character| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    });
    let length = end.ok_or_else(cut_off)? + 2;
    // JSON's escapes are those that people use of Go's.
    let parsed = serde_json::from_str(&rest[..length]);
    let text = parsed.map_err(|_| format!("`{}` has an escape that is none", &rest[..length]))?;
    *rest = &rest[length..];
    Ok(text)
}

fn number(rest: &mut &str) -> Result<Token, String> {
    let is_inside =
        |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    let length = rest.find(|character| !is_inside(character)).unwrap_or(rest.len());
    let text = cut(rest, length, str::to_owned);
    match text.parse::<f64>() {
        Ok(_) if !text.contains(['e', 'E']) => Ok(Token::Number(text)),
        _ => Err(format!("`{text}` is no number; quote it with `\"`")),
    }
}

/// Names with points between them, and with further names in brackets.
fn word(rest: &mut &str) -> Result<Token, String> {
    let (whole, mut names) = (*rest, vec![name(rest)?]);
    loop {
        if rest.starts_with('.') {
            cut(rest, 1, |_| ());
            names.push(name(rest)?);
        } else if rest.starts_with("[\"") || rest.starts_with("[`") {
            cut(rest, 1, |_| ());
            names.push(quoted(rest)?);
            *rest = rest.strip_prefix(']').ok_or("expected `]` behind a name in brackets")?;
        } else {
            break;
        }
    }
    let text = &whole[..whole.len() - rest.len()];
    match rest.starts_with(|next: char| !next.is_whitespace() && !"()=!".contains(next)) {
        true => Err(format!("`{text}` is followed by what is in no name; quote it with `\"`")),
        false => Ok(Token::Word(text.to_owned(), names)),
    }
}

fn name(rest: &mut &str) -> Result<String, String> {
    let is_inside = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let length = rest.find(|character| !is_inside(character)).unwrap_or(rest.len());
    match rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => Ok(cut(rest, length, str::to_owned)),
        false => Err("expected a name behind `.`".to_owned()),
    }
}
